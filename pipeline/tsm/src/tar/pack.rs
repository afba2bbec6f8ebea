//! Packs the files of a shard into a tar again, under the names that another server gives them.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::vec;

use super::walker::padding;
use super::{BLOCK, Unpacked};

/// Longer names, and names that are no ASCII, go into a PAX record (POSIX ustar: the field of the name).
const LONGEST_NAME: usize = 100;

/// Larger files have their size in a PAX record (POSIX ustar: eleven octal digits).
const LARGEST_SIZE: u64 = (1 << 33) - 1;

/// The tar as a reader: it is made while it is read, in constant memory.
///
/// Entries are called `<shard>/<file>`, as InfluxDB wants them. The end is two blocks of zeros and nothing behind.
#[derive(Debug)]
pub struct Packer {
    /// `<database>/<policy>/<shard id>`.
    shard: String,
    files: vec::IntoIter<Unpacked>,
    /// Bytes that come before all others: a header, what fills up a block, the trailer.
    due: Cursor<Vec<u8>>,
    /// The file whose bytes come after them, and how many are left of it.
    open: Option<(File, Unpacked, u64)>,
    ended: bool,
}

impl Packer {
    /// Packs these files, in their order, as those of the shard `<database>/<policy>/<shard id>`.
    #[must_use]
    pub fn new(shard: &str, files: Vec<Unpacked>) -> Packer {
        let (shard, files) = (shard.to_owned(), files.into_iter());
        Packer { shard, files, due: Cursor::default(), open: None, ended: false }
    }

    /// Opens the next file, or comes to the trailer, or to the end.
    fn go_on(&mut self) -> io::Result<bool> {
        let Some(next) = self.files.next() else {
            let end = if self.ended { Vec::new() } else { vec![0; BLOCK.saturating_mul(2)] };
            let more = !std::mem::replace(&mut self.ended, true);
            self.due = Cursor::new(end);
            return Ok(more);
        };
        let name = next.path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| broken(&next.path, "its name cannot be sent"))?;
        let file = File::open(&next.path)?;
        if file.metadata()?.len() != next.bytes {
            return Err(broken(&next.path, "its length has changed"));
        }
        self.due = Cursor::new(headers(&format!("{}/{name}", self.shard), next.bytes));
        let bytes = next.bytes;
        self.open = Some((file, next, bytes));
        Ok(true)
    }
}

impl Read for Packer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = self.due.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let Some((file, entry, left)) = &mut self.open else {
                if self.go_on()? {
                    continue;
                }
                return Ok(0);
            };
            if *left > 0 {
                let read = file.take(*left).read(buffer)?;
                if read == 0 {
                    return Err(broken(&entry.path, "it ends too early"));
                }
                *left = left.saturating_sub(read as u64);
                return Ok(read);
            }
            self.due = Cursor::new(vec![0; usize::try_from(padding(entry.bytes)).unwrap_or_default()]);
            self.open = None;
        }
    }
}

fn broken(path: &Path, reason: &str) -> io::Error {
    io::Error::other(format!("{} cannot be packed: {reason}", path.display()))
}

/// All that stands before the bytes of a file.
fn headers(name: &str, bytes: u64) -> Vec<u8> {
    let plain = name.is_ascii() && name.len() <= LONGEST_NAME;
    let mut records = Vec::new();
    if !plain {
        records.extend(record("path", name));
    }
    if bytes > LARGEST_SIZE {
        records.extend(record("size", &bytes.to_string()));
    }
    let mut all = Vec::new();
    if !records.is_empty() {
        let length = records.len() as u64;
        all.extend(block("PaxHeaders/file", length, b'x'));
        all.extend(&records);
        all.resize(all.len().saturating_add(usize::try_from(padding(length)).unwrap_or_default()), 0);
    }
    // What reads the records does not look at these.
    all.extend(block(if plain { name } else { "file" }, bytes.min(LARGEST_SIZE), b'0'));
    all
}

/// A PAX record, `<length> <key>=<value>\n`, where the length counts itself.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    loop {
        let text = format!("{length}{rest}");
        if text.len() == length {
            return text.into_bytes();
        }
        length = text.len();
    }
}

/// A ustar header.
fn block(name: &str, bytes: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let kind = [kind];
    let (size, zero) = (format!("{bytes:011o}\0"), format!("{:011o}\0", 0));
    let fields: [(usize, &[u8]); 9] = [
        (0, name.as_bytes()),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size.as_bytes()),
        (136, zero.as_bytes()),
        // The checksum is reckoned with spaces in its own place.
        (148, b"        "),
        (156, &kind),
        (257, b"ustar\x0000"),
    ];
    for (at, field) in fields {
        put(&mut block, at, field);
    }
    let sum = block.iter().fold(0u32, |sum, byte| sum.saturating_add(u32::from(*byte)));
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, field: &[u8]) {
    if let Some(place) = block.get_mut(at..at.saturating_add(field.len())) {
        place.copy_from_slice(field);
    }
}
