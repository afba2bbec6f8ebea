//! Digests of a body: counted and hashed in one reading, segments included.

use md5::{Digest, Md5};
use sha2::Sha256;

/// Length and digests of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Length in bytes.
    pub bytes: u64,
    /// MD5 of the whole, which Swift checks and shows as the ETag.
    pub md5: [u8; 16],
    /// SHA-256 of the whole, which the manifest records.
    pub sha256: [u8; 32],
    /// The segments into which the store will cut the body; empty when it stays in one piece.
    pub segments: Vec<Segment>,
}

/// One segment of a large body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where the segment begins, in bytes from the start of the body.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// MD5 of the segment alone.
    pub md5: [u8; 16],
}

impl Digests {
    /// The digests of bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8], segment_size: Option<u64>) -> Digests {
        let mut digester = Digester::new(segment_size);
        digester.update(bytes);
        digester.finish()
    }

    /// The ETag that Swift shows for this body: the MD5 in hex, or, for segments, the MD5 of the
    /// segments' ETags written one after the other (documented as the "SLO ETag").
    #[must_use]
    pub fn etag(&self) -> String {
        if self.segments.is_empty() {
            return hex::encode(self.md5);
        }
        let mut joined = Md5::new();
        for segment in &self.segments {
            joined.update(hex::encode(segment.md5));
        }
        hex::encode(joined.finalize())
    }
}

/// Counts and hashes a body while it streams by.
#[derive(Debug, Clone)]
pub struct Digester {
    segment_size: u64,
    bytes: u64,
    md5: Md5,
    sha256: Sha256,
    /// Whether a store will compare the MD5, which costs three times as much as the rest.
    with_md5: bool,
    /// MD5 of the segment under way; unused for the first one, whose MD5 is that of the whole so far.
    segment: Md5,
    segments: Vec<Segment>,
}

impl Digester {
    /// Begins; `segment_size` is that of the store which will get the body.
    #[must_use]
    pub fn new(segment_size: Option<u64>) -> Digester {
        Digester {
            segment_size: segment_size.unwrap_or(u64::MAX).max(1),
            bytes: 0,
            md5: Md5::new(),
            sha256: Sha256::new(),
            with_md5: true,
            segment: Md5::new(),
            segments: Vec::new(),
        }
    }

    /// Begins, for a body that no store will get: its MD5 will be that of nothing, so that every store refuses it.
    #[must_use]
    pub fn without_md5() -> Digester {
        Digester { with_md5: false, ..Digester::new(None) }
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.sha256.update(bytes);
        if !self.with_md5 {
            self.bytes += bytes.len() as u64;
            return;
        }
        while !bytes.is_empty() {
            let room = self.segment_size - self.bytes % self.segment_size;
            let (now, later) = bytes.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            self.md5.update(now);
            if !self.segments.is_empty() {
                self.segment.update(now);
            }
            self.bytes += now.len() as u64;
            bytes = later;
            if self.bytes.is_multiple_of(self.segment_size) {
                self.close_segment();
            }
        }
    }

    fn close_segment(&mut self) {
        let (offset, md5) = match self.segments.last() {
            None => (0, self.md5.clone()),
            Some(last) => (last.offset + last.bytes, std::mem::take(&mut self.segment)),
        };
        self.segments.push(Segment { offset, bytes: self.bytes - offset, md5: md5.finalize().into() });
    }

    /// The digests of all that was taken.
    #[must_use]
    pub fn finish(mut self) -> Digests {
        if self.bytes <= self.segment_size {
            // A body that fits into one segment is stored as a plain object.
            self.segments.clear();
        } else if !self.bytes.is_multiple_of(self.segment_size) {
            self.close_segment();
        }
        Digests {
            bytes: self.bytes,
            md5: self.md5.finalize().into(),
            sha256: self.sha256.finalize().into(),
            segments: self.segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn md5(bytes: &[u8]) -> [u8; 16] {
        Md5::digest(bytes).into()
    }

    #[track_caller]
    fn check_segments(length: usize, segment_size: u64, expected: &[(u64, u64)]) {
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let digests = Digests::of(&bytes, Some(segment_size));
        let cuts: Vec<(u64, u64)> = digests.segments.iter().map(|segment| (segment.offset, segment.bytes)).collect();
        assert_eq!(cuts, expected, "{length} bytes in segments of {segment_size}");
    }

    #[test]
    fn a_body_is_cut_only_when_it_is_longer_than_a_segment() {
        check_segments(0, 4, &[]);
        check_segments(3, 4, &[]);
        check_segments(4, 4, &[]);
        check_segments(5, 4, &[(0, 4), (4, 1)]);
        check_segments(7, 4, &[(0, 4), (4, 3)]);
        check_segments(8, 4, &[(0, 4), (4, 4)]);
        check_segments(9, 4, &[(0, 4), (4, 4), (8, 1)]);
        check_segments(3, 1, &[(0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn the_etag_of_a_whole_body_is_its_md5() {
        assert_eq!(Digests::of(b"", Some(4)).etag(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(Digests::of(b"abc", None).etag(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            hex::encode(Digests::of(b"abc", None).sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_etag_of_segments_is_the_md5_of_their_etags() {
        let joined = format!("{}{}", hex::encode(md5(b"abcd")), hex::encode(md5(b"ef")));
        assert_eq!(Digests::of(b"abcdef", Some(4)).etag(), hex::encode(md5(joined.as_bytes())));
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_does_not_matter(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            segment_size in prop::option::of(1_u64..50),
        ) {
            let whole = pieces.concat();
            let mut digester = Digester::new(segment_size);
            for piece in &pieces {
                digester.update(piece);
            }
            let digests = digester.finish();
            prop_assert_eq!(&digests, &Digests::of(&whole, segment_size));
            prop_assert_eq!(digests.bytes, whole.len() as u64);
            prop_assert_eq!(digests.md5, md5(&whole));
            prop_assert_eq!(digests.sha256, <[u8; 32]>::from(Sha256::digest(&whole)));

            // Independently: the segments are the chunks of the whole, in order.
            let chunks: Vec<&[u8]> = match segment_size.map(|size| size as usize) {
                Some(size) if whole.len() > size => whole.chunks(size).collect(),
                _ => Vec::new(),
            };
            prop_assert_eq!(digests.segments.len(), chunks.len());
            let mut offset = 0;
            for (segment, chunk) in digests.segments.iter().zip(chunks) {
                prop_assert_eq!(*segment, Segment { offset, bytes: chunk.len() as u64, md5: md5(chunk) });
                offset += segment.bytes;
            }
        }
    }
}
