//! Where a shard's tar is cut, so that its TSM files can be shared.

use std::ops::Range;

use store::Composition;

use crate::manifest::ShardFile;

/// A part of a shard's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which bytes of the tar.
    pub bytes: Range<u64>,
    /// Whether it is an object of the pool; else it stands in the shard's own manifest.
    pub is_pooled: bool,
}

impl Cut {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.bytes.end.saturating_sub(self.bytes.start)
    }
}

/// Cuts a tar of so many bytes with these files into parts that together are the whole. A single part means that the shard is
/// stored as it is.
///
/// Files that are large enough are parts of their own; headers, and files that are not, stand between them. Where that would
/// be too much for a manifest, the tar is cut every so many bytes: then it is shared as a whole only.
#[must_use]
pub fn cut(files: &[ShardFile], bytes: u64, within: &Composition) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut at = 0;
    for file in files {
        let end = file.offset.saturating_add(file.bytes);
        // A listing that does not fit the tar is no reason to store something else than the tar.
        if file.bytes < within.smallest || file.offset < at || end > bytes {
            continue;
        }
        between(&mut cuts, at..file.offset, within);
        at = pieces(&mut cuts, file.offset..end, within);
    }
    between(&mut cuts, at..bytes, within);
    let inline: u64 = cuts.iter().filter(|cut| !cut.is_pooled).map(Cut::length).sum();
    let is_shared = cuts.iter().any(|cut| cut.is_pooled);
    if is_shared && inline <= within.inline_bytes && cuts.len() <= within.pieces {
        return cuts;
    }
    let mut evenly = Vec::new();
    let mut at = 0;
    while at < bytes || evenly.is_empty() {
        let end = bytes.min(at.saturating_add(within.largest.max(1)));
        evenly.push(Cut { bytes: at..end, is_pooled: true });
        at = end;
        if bytes == 0 {
            break;
        }
    }
    evenly
}

/// What lies between two files, or is too small for an object of its own.
fn between(cuts: &mut Vec<Cut>, bytes: Range<u64>, within: &Composition) {
    let at = if bytes.end - bytes.start >= within.smallest { pieces(cuts, bytes.clone(), within) } else { bytes.start };
    if at < bytes.end {
        cuts.push(Cut { bytes: at..bytes.end, is_pooled: false });
    }
}

/// Objects of at most the largest size, as long as they are not too small; gives the place where they end.
fn pieces(cuts: &mut Vec<Cut>, bytes: Range<u64>, within: &Composition) -> u64 {
    let mut at = bytes.start;
    while bytes.end - at >= within.smallest.max(1) {
        let end = bytes.end.min(at.saturating_add(within.largest.max(1)));
        cuts.push(Cut { bytes: at..end, is_pooled: true });
        at = end;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WITHIN: Composition = Composition { pieces: 9, inline_bytes: 3000, smallest: 1000, largest: 5000 };

    /// Files as a tar has them: a header of 512 bytes before each, which is filled up to 512 behind it.
    fn tar(lengths: &[u64]) -> (Vec<ShardFile>, u64) {
        let mut at = 0;
        let files = lengths.iter().map(|bytes| {
            let offset = at + 512;
            at = (offset + bytes).next_multiple_of(512);
            ShardFile { name: String::new(), offset, bytes: *bytes, sha256: String::new(), inside: None }
        });
        let files = files.collect();
        (files, at + 1024)
    }

    /// `p` for what is pooled and `i` for what is inline, with lengths.
    fn shown(lengths: &[u64]) -> String {
        let (files, bytes) = tar(lengths);
        let cuts = cut(&files, bytes, &WITHIN);
        let words = cuts.iter().map(|cut| format!("{}{}", if cut.is_pooled { "p" } else { "i" }, cut.length()));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn large_files_are_parts_of_their_own_and_the_rest_is_inline_or_glued() {
        for (lengths, expected) in [
            (&[][..], "p1024"),
            (&[100][..], "p2048"),
            (&[2000][..], "i512 p2000 p1072"),
            (&[1536, 1024][..], "i512 p1536 i512 p1024 p1024"),
            (&[300, 1024][..], "p1536 p1024 p1024"),
            // One larger than the largest, whose end is too small.
            (&[5120][..], "i512 p5000 p1144"),
            (&[11264][..], "i512 p5000 p5000 p1264 p1024"),
            // More parts than a manifest may have: cut evenly.
            (&[1024; 6][..], "p5000 p5000 p240"),
        ] {
            assert_eq!(shown(lengths), expected, "{lengths:?}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole_whatever_the_files(
            lengths in prop::collection::vec(0_u64..12_000, 0..9), inline_bytes in 0_u64..4000, pieces in 1_usize..20,
        ) {
            let (files, bytes) = tar(&lengths);
            let within = Composition { pieces, inline_bytes, ..WITHIN };
            let cuts = cut(&files, bytes, &within);
            let mut at = 0;
            for cut in &cuts {
                prop_assert_eq!(cut.bytes.start, at);
                prop_assert!(cut.length() > 0 && (!cut.is_pooled || cut.length() <= within.largest));
                at = cut.bytes.end;
            }
            prop_assert_eq!(at, bytes);
        }
    }
}
