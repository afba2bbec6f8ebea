//! Every file of the fuzzers' corpus goes through the target that it belongs to, without a fuzzer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "fuzz/src/targets/mod.rs"]
mod targets;

/// A target by the name of its folder.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 12] = [
    ("boolean", targets::boolean),
    ("float", targets::float),
    ("index", targets::index),
    ("integer", targets::integer),
    ("key", targets::key),
    ("metastore", targets::metastore),
    ("shard", targets::shard),
    ("string", targets::string),
    ("tar", targets::tar),
    ("times", targets::times),
    ("tombstone", targets::tombstone),
    ("unsigned", targets::unsigned),
];

#[test]
fn no_target_finds_anything_in_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let targets: BTreeMap<String, fn(&[u8])> = TARGETS.map(|(name, target)| (name.to_owned(), target)).into();
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(fuzz.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().into()).collect();
        names.sort();
        names
    };
    assert_eq!(names("corpus"), targets.keys().cloned().collect::<Vec<_>>());
    assert_eq!(names("targets"), names("corpus"), "each target has a program and a folder");
    for (name, target) in targets {
        let files = fs::read_dir(fuzz.join("corpus").join(&name)).unwrap();
        let mut passed = 0;
        for file in files {
            target(&fs::read(file.unwrap().path()).unwrap());
            passed += 1;
        }
        assert!(passed > 0, "{name} begins with a real file");
    }
}
