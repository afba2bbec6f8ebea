//! The blocks of a real server's files, as the lists beside these have them.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};

/// One file for each subject.
pub(crate) const NAMES: [&str; 9] =
    ["boolean", "escapes", "float", "integer", "multiblock", "string", "timestamp", "timestamp_wide", "unsigned"];

/// A block's bytes, and what the list says of it.
pub(crate) struct Listed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) points: usize,
}

/// Where the files lie.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tsm")
}

/// The blocks of a file, in its order.
pub(crate) fn blocks(name: &str) -> Vec<Listed> {
    let file = fs::read(folder().join(format!("{name}.tsm"))).unwrap();
    let list = fs::read_to_string(folder().join(format!("{name}.blocks.tsv"))).unwrap();
    let listed = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, kind, points, _, _, offset, size] = columns[..] else { panic!("{line}") };
        let offset: usize = offset.parse().unwrap();
        let size: usize = size.parse().unwrap();
        Listed { bytes: file[offset..offset + size].to_vec(), kind: kind.to_owned(), points: points.parse().unwrap() }
    };
    list.lines().skip(1).map(listed).collect()
}
