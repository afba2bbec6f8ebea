//! Where bytes are read from: anything that gives ranges of them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// A source of bytes that can be read at any place, from several threads at once.
///
/// Implemented for files and for memory; whoever reads from elsewhere (an object store, say) lends an implementation of
/// his own. The length is that of the moment: a source must not change while it is read.
pub trait ReadAt {
    /// How many bytes there are.
    ///
    /// # Errors
    ///
    /// What keeps the source from telling.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] when the source ends before, and whatever keeps it from being read.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let begins = usize::try_from(offset).ok();
        let wanted = begins.and_then(|begins| self.get(begins..begins.checked_add(buffer.len())?));
        buffer.copy_from_slice(wanted.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        self.as_slice().length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        ReadAt::read_exact_at(self.as_slice(), buffer, offset)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for std::sync::Arc<R> {
    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }
}

/// A part of another source, such as a file within a tar.
#[derive(Debug, Clone)]
pub struct Section<R> {
    source: R,
    begins: u64,
    bytes: u64,
}

impl<R: ReadAt> Section<R> {
    /// The `bytes` bytes of `source` from `begins` on.
    #[must_use]
    pub fn new(source: R, begins: u64, bytes: u64) -> Section<R> {
        Section { source, begins, bytes }
    }
}

impl<R: ReadAt> ReadAt for Section<R> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let ends = offset.checked_add(buffer.len() as u64).filter(|ends| *ends <= self.bytes);
        let begins = ends.and_then(|_| self.begins.checked_add(offset)).ok_or(ErrorKind::UnexpectedEof)?;
        self.source.read_exact_at(buffer, begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_source_of_its_own_and_nothing_beyond_it_is_read() {
        let whole: Vec<u8> = (0..10).collect();
        let section = Section::new(&whole, 3, 4);
        let mut two = [0; 2];
        section.read_exact_at(&mut two, 2).unwrap();
        assert_eq!((two, section.length().unwrap()), ([5, 6], 4));
        for offset in [3, 4, 5, u64::MAX] {
            assert_eq!(section.read_exact_at(&mut two, offset).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        // A section may claim more than there is.
        let section = Section::new(&whole, 9, 4);
        assert_eq!(section.read_exact_at(&mut two, 0).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(
            Section::new(&whole, u64::MAX, 4).read_exact_at(&mut two, 2).unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
    }
}
