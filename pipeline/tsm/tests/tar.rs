//! The tar walker against answers of a real InfluxDB, other tar writers, and damage.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tsm::tar::{Entry, Error, Event, Packer, Unpacked, Unpacker, Walker, list};

fn vector(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// Entries with their contents, the tar fed in pieces of `step` bytes.
fn walk(bytes: &[u8], step: usize) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut walker = Walker::new();
    let mut entries: Vec<(Entry, Vec<u8>)> = Vec::new();
    for piece in bytes.chunks(step) {
        walker.feed(piece, |event| match event {
            Event::Entry(entry) => entries.push((entry.clone(), Vec::new())),
            Event::Data(data) => entries.last_mut().unwrap().1.extend_from_slice(data),
            Event::End => {}
        })?;
    }
    walker.finish()?;
    Ok(entries)
}

#[test]
fn a_shard_of_a_real_server_is_walked_the_same_in_pieces_of_any_size() {
    let whole = vector("whole.tar");
    let expected = walk(&whole, whole.len()).unwrap();
    let names: Vec<&str> = expected.iter().map(|(entry, _)| entry.name.as_str()).collect();
    assert_eq!(names, ["demo/autogen/1/000000001-000000001.tombstone", "demo/autogen/1/000000001-000000001.tsm"]);
    for (entry, data) in &expected {
        let offset = usize::try_from(entry.offset).unwrap();
        assert_eq!(entry.bytes, data.len() as u64);
        assert_eq!(&whole[offset..offset + data.len()], data.as_slice(), "the offset points at the file's bytes");
    }
    assert_eq!(expected[1].1[..4], [0x16, 0xd1, 0x16, 0xd1], "a TSM file begins with its magic");
    for step in [1, 2, 3, 511, 512, 513, 1000] {
        assert_eq!(walk(&whole, step).unwrap(), expected, "in pieces of {step}");
    }
}

#[test]
fn a_file_tells_when_it_was_written_and_a_time_that_is_none_keeps_nobody_from_the_file() {
    let times = |tar: &[u8]| walk(tar, 512).unwrap().iter().map(|(entry, _)| entry.modified).collect::<Vec<_>>();
    let mut tar = vector("whole.tar");
    // 2026-11-20T14:38:18Z, as GNU tar shows it.
    assert_eq!(times(&tar), [Some(1_795_185_498); 2]);
    tar[136..148].copy_from_slice(b"yesterday\0\0\0");
    sign(&mut tar);
    assert_eq!(times(&tar), [None, Some(1_795_185_498)]);
}

#[test]
fn what_a_broken_download_leaves_behind_is_refused() {
    assert!(matches!(walk(&[], 1), Err(Error::Empty)));
    assert!(matches!(walk(&vector("cut.tar"), 512), Err(Error::Truncated { offset: 1300, .. })));
    assert!(matches!(walk(&vector("header-only.tar"), 512), Err(Error::Truncated { .. })));
    assert!(walk(&vector("doubled.tar"), 512).is_err());
}

#[test]
fn every_proper_prefix_and_every_extension_of_a_shard_is_refused() {
    let whole = vector("whole.tar");
    for length in 0..whole.len() {
        assert!(walk(&whole[..length], 4096).is_err(), "cut after {length} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(walk(&longer, 4096), Err(Error::Trailing { .. })));
}

#[test]
fn a_shard_without_files_is_whole() {
    assert_eq!(walk(&vector("empty-shard.tar"), 100).unwrap(), []);
}

/// Makes a tar with GNU tar in the given format, cut to the trailer that InfluxDB writes.
fn made_by_tar(format: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    let mut child = Command::new("tar")
        .args(["--create", "--blocking-factor=1", &format!("--format={format}"), "--file=-", "--no-recursion"])
        .args(["--null", "--verbatim-files-from", "--files-from=-"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar is part of every system");
    child.stdin.take().unwrap().write_all(name.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn long_and_foreign_names_are_read_in_every_format() {
    let long = format!("{}/{}/7/000000001-000000001.tsm", "d".repeat(120), "p".repeat(40));
    let longest = format!("{}/{}/7/000000001-000000001.tsm", "d".repeat(250), "p".repeat(200));
    let foreign = "dbé.x y/autogen/2/000000001-000000001.tsm".to_owned();
    let cases =
        [("ustar", &long), ("pax", &long), ("gnu", &long), ("pax", &longest), ("gnu", &longest), ("pax", &foreign)];
    for (format, name) in cases {
        let tar = made_by_tar(format, name, b"content");
        for step in [1, 512, 4096] {
            let entries = walk(&tar, step).unwrap();
            assert_eq!(entries.len(), 1, "{format} {name}");
            assert_eq!((&entries[0].0.name, entries[0].1.as_slice()), (name, b"content".as_slice()), "{format}");
        }
    }
}

/// Writes the checksum of the first header anew.
fn sign(tar: &mut [u8]) {
    tar[148..156].fill(b' ');
    let sum: u64 = tar[..512].iter().map(|byte| u64::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn sizes_beyond_octal_are_read() {
    // 8 GiB + 1, as GNU tar (base-256) and as pax would write it; the content itself need not follow.
    let size: u64 = (8 << 30) + 1;
    let mut header = vector("whole.tar")[..512].to_vec();
    header[124..136].fill(0);
    header[124] = 0x80;
    header[128..136].copy_from_slice(&size.to_be_bytes());
    sign(&mut header);
    let mut found = None;
    Walker::new()
        .feed(&header, |event| {
            if let Event::Entry(entry) = event {
                found = Some(entry.bytes);
            }
        })
        .unwrap();
    assert_eq!(found, Some(size));
}

fn unpack(tar: &[u8], step: usize, folder: &Path) -> Result<Vec<Unpacked>, Error> {
    let mut unpacker = Unpacker::new("demo/autogen/1", folder);
    tar.chunks(step).try_for_each(|piece| unpacker.feed(piece))?;
    unpacker.finish()
}

#[test]
fn unpacking_writes_the_files_into_the_folder_and_nothing_else() {
    let whole = vector("whole.tar");
    let expected = walk(&whole, 512).unwrap();
    for step in [1, 512, 4096, whole.len()] {
        let folder = tempfile::tempdir().unwrap();
        let unpacked = unpack(&whole, step, folder.path()).unwrap();
        assert_eq!(unpacked.len(), expected.len());
        for (file, (entry, content)) in unpacked.iter().zip(&expected) {
            assert_eq!(file.path.file_name().unwrap().to_str(), entry.name.rsplit('/').next());
            assert_eq!((file.bytes, &fs::read(&file.path).unwrap()), (entry.bytes, content));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), expected.len());
        let again = unpack(&whole, step, folder.path());
        assert!(matches!(again, Err(Error::Io { .. })), "nothing is overwritten");
    }
}

#[test]
fn a_tar_that_breaks_off_is_not_unpacked_with_success() {
    let whole = vector("whole.tar");
    for end in [0, 512, whole.len() - 1024, whole.len() - 1] {
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&whole[..end], 512, folder.path()).is_err(), "after {end} bytes");
    }
}

#[test]
fn entries_that_belong_elsewhere_are_not_unpacked() {
    let names = [
        "demo/autogen/11/x.tsm",
        "demo/autogen/1x.tsm",
        "demo/autogen/1/../2/x.tsm",
        "demo/autogen/1/sub/x.tsm",
        "demo/autogen/1/..",
        "other/autogen/1/x.tsm",
        "x.tsm",
    ];
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        // The name is written into the header by hand: tar itself would clean it.
        let mut tar = made_by_tar("ustar", "placeholder", b"content");
        tar[..100].fill(0);
        tar[..name.len()].copy_from_slice(name.as_bytes());
        tar[148..156].fill(b' ');
        let sum: u64 = tar[..512].iter().map(|byte| u64::from(*byte)).sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(list(tar.as_slice()).unwrap()[0].name, name);
        let refused = unpack(&tar, 512, folder.path());
        assert!(matches!(refused, Err(Error::Name { .. })), "{name}: {refused:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn links_are_refused() {
    let mut tar = made_by_tar("ustar", "demo", b"");
    tar[156] = b'2';
    tar[148..156].fill(b' ');
    let sum: u64 = tar[..512].iter().map(|byte| u64::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(list(tar.as_slice()), Err(Error::Kind { kind: '2', .. })));
}

#[test]
fn what_was_unpacked_is_packed_under_another_name() {
    let whole = vector("whole.tar");
    let folder = tempfile::tempdir().unwrap();
    let files = unpack(&whole, 4096, folder.path()).unwrap();
    let contents = |tar: &[u8]| walk(tar, 512).unwrap().into_iter().map(|(_, content)| content).collect::<Vec<_>>();
    let long = format!("{}/{}/7", "d".repeat(120), "p".repeat(40));
    for shard in ["other/a b.c/4711", "dbé.x y/autogen/2", &long] {
        let mut packed = Vec::new();
        // Read in pieces that end anywhere.
        let mut packer = Packer::new(shard, files.clone());
        let mut buffer = [0; 700];
        loop {
            match packer.read(&mut buffer).unwrap() {
                0 => break,
                read => packed.extend_from_slice(&buffer[..read]),
            }
        }
        let names: Vec<String> = list(packed.as_slice()).unwrap().into_iter().map(|entry| entry.name).collect();
        let file = "000000001-000000001";
        assert_eq!(names, [format!("{shard}/{file}.tombstone"), format!("{shard}/{file}.tsm")]);
        assert_eq!(contents(&packed), contents(&whole), "{shard}");
        // An independent reader agrees.
        let mut tar = Command::new("tar").arg("-tf-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        tar.stdin.take().unwrap().write_all(&packed).unwrap();
        let listed = tar.wait_with_output().unwrap();
        assert!(listed.status.success());
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 2);
    }
}

#[test]
fn a_shard_without_files_is_packed_as_a_trailer_and_a_changed_file_is_not() {
    let mut packed = Vec::new();
    Packer::new("d/p/1", Vec::new()).read_to_end(&mut packed).unwrap();
    assert_eq!(packed, [0; 1024]);
    let folder = tempfile::tempdir().unwrap();
    let files = unpack(&vector("whole.tar"), 4096, folder.path()).unwrap();
    fs::write(&files[1].path, "shorter").unwrap();
    let error = Packer::new("d/p/1", files).read_to_end(&mut packed).unwrap_err();
    assert!(error.to_string().contains("its length has changed"), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096), step in 1usize..600) {
        let _ = walk(&bytes, step);
    }

    #[test]
    fn a_flipped_byte_in_a_header_is_noticed(position in 0usize..512, flip in 1u8..) {
        let mut whole = vector("whole.tar");
        let before = walk(&whole, 512).unwrap();
        whole[position] ^= flip;
        // The checksum field may be written in several ways that mean the same number.
        if let Ok(after) = walk(&whole, 512) {
            prop_assert_eq!(after, before);
        }
    }
}
