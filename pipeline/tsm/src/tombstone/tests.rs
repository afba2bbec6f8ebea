//! Tombstones written here, of every version, whole, cut and hostile.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

type Deleted<'a> = (&'a [u8], i64, i64);

fn records(deleted: &[Deleted<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, first, last) in deleted {
        bytes.extend(u32::try_from(key.len()).unwrap().to_be_bytes());
        bytes.extend(*key);
        bytes.extend(first.to_be_bytes());
        bytes.extend(last.to_be_bytes());
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(parts: &[&[u8]]) -> Result<Tombstones, Error> {
    Tombstones::read(parts.concat().as_slice())
}

fn ranges(tombstones: &Tombstones, key: &[u8]) -> Vec<(i64, i64)> {
    tombstones.ranges(key).collect()
}

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

const DELETED: [Deleted<'_>; 5] =
    [(b"m#!~#f", 5, 9), (b"z#!~#f", ALL.0, ALL.1), (b"m#!~#f", -3, 2), (b"m#!~#f", 5, 9), (b"a#!~#\xff", 1, 1)];

#[test]
fn every_version_says_the_same_in_its_own_way() {
    let all = records(&DELETED);
    let (one, other) = (records(&DELETED[..2]), records(&DELETED[2..]));
    let versions: [(&str, Vec<u8>); 3] = [
        ("2", [&[0, 0, 0x15, 2][..], &all].concat()),
        ("3", [&[0, 0, 0x15, 3][..], &gzip(&all)].concat()),
        ("4", [&[0, 0, 0x15, 4][..], &gzip(&one), &gzip(&other)].concat()),
    ];
    for (version, file) in versions {
        let tombstones = read(&[&file]).unwrap();
        assert_eq!(ranges(&tombstones, b"m#!~#f"), [(-3, 2), (5, 9)], "version {version}");
        assert_eq!(ranges(&tombstones, b"z#!~#f"), [ALL], "version {version}");
        assert_eq!(ranges(&tombstones, b"a#!~#\xff"), [(1, 1)], "version {version}");
        assert_eq!(ranges(&tombstones, b"m#!~#"), [], "version {version}");
        assert!(!tombstones.is_empty());
    }
}

#[test]
fn the_first_version_deletes_whole_keys() {
    let tombstones = read(&[b"m#!~#f\n\nz,t=1#!~#g"]).unwrap();
    assert_eq!((ranges(&tombstones, b"m#!~#f"), ranges(&tombstones, b"z,t=1#!~#g")), (vec![ALL], vec![ALL]));
    assert_eq!(ranges(&tombstones, b""), []);
}

#[test]
fn what_has_no_entries_deletes_nothing() {
    for file in [&b""[..], b"abc", b"\n\n\n\n", &[0, 0, 0x15, 2], &[0, 0, 0x15, 3], &[0, 0, 0x15, 4]] {
        assert!(read(&[file]).unwrap().is_empty(), "{file:?}");
    }
    assert!(read(&[&[0, 0, 0x15, 4], &gzip(b"")]).unwrap().is_empty());
}

#[test]
fn a_file_that_is_cut_within_a_record_is_refused() {
    let plain = [&[0, 0, 0x15, 2][..], &records(&DELETED[..2])].concat();
    let between = 4 + records(&DELETED[..1]).len();
    for length in 5..plain.len() {
        assert_eq!(read(&[&plain[..length]]).is_ok(), length == between, "{length}");
    }
    let members = [gzip(&records(&DELETED[..2])), gzip(&records(&DELETED[2..]))];
    let packed = [&[0, 0, 0x15, 4][..], &members[0], &members[1]].concat();
    for length in 5..packed.len() {
        let error = read(&[&packed[..length]]);
        assert_eq!(error.is_ok(), length == 4 + members[0].len(), "{length}");
        assert!(error.err().is_none_or(|error| error.is_damage()), "{length}");
    }
}

#[test]
fn what_no_server_writes_is_refused() {
    let table: [(&[&[u8]], &str); 5] = [
        (&[&[0, 0, 0x15, 5]], "version"),
        (&[&[0, 0, 0x15, 2], &[0, 1, 0, 0], &[0; 70000]], "longer than keys"),
        (&[b"four", &[b'a'; 70000]], "longer than keys"),
        (&[&[0, 0, 0x15, 4], &gzip(&records(&DELETED)), b"tail"], "gzip"),
        (&[&[0, 0, 0x15, 3], b"no gzip at all"], "gzip"),
    ];
    for (parts, said) in table {
        let error = read(parts).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(said), "{error}: {said}");
    }
}

#[test]
fn a_small_file_that_holds_too_much_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let key = [b'k'; 1000];
    for count in 0..200_000_i64 {
        // Two keys in turn, so that no record follows one like it.
        let key = &key[..key.len() - usize::from(count % 2 == 0)];
        encoder.write_all(&records(&[(key, 0, 0)])).unwrap();
    }
    let packed = encoder.finish().unwrap();
    let error = read(&[&[0, 0, 0x15, 4], &packed]).unwrap_err();
    assert!(error.to_string().contains("more than its length can mean"), "{error}: {} bytes", packed.len());
}

#[test]
fn many_series_deleted_at_once_are_read() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let key = |number: u32| format!("cpu,host=server-{number:07},region=eu-central-1#!~#usage_user").into_bytes();
    for number in 0..300_000 {
        encoder.write_all(&records(&[(&key(number), ALL.0, ALL.1)])).unwrap();
    }
    let tombstones = read(&[&[0, 0, 0x15, 4], &encoder.finish().unwrap()]).unwrap();
    for number in [0, 1, 150_000, 299_999] {
        assert_eq!(ranges(&tombstones, &key(number)), [ALL]);
    }
    assert_eq!(ranges(&tombstones, &key(300_000)), []);
}
