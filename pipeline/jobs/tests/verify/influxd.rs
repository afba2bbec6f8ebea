//! Folders that the real `influxd backup` wrote, in both of its formats, whole and damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jobs::Kind;
use jobs::verify::{self, Config, Extent, Outcome};
use test_support::{Influxd, TempDir, temp_dir};

use super::bench::{Bench, assert_whole, damages, fill, now, only};

/// What `influxd backup` left behind, with exit status 0, when its download was closed after 1300 bytes.
const CUT: &[u8] = include_bytes!("../../../tsm/tests/vectors/cut.tar");

/// What it left behind, with exit status 0, when its download was reset after 1300 bytes and tried again.
const DOUBLED: &[u8] = include_bytes!("../../../tsm/tests/vectors/doubled.tar");

struct Folder {
    bench: Bench,
    folder: TempDir,
}

impl Folder {
    fn empty() -> Folder {
        Folder { bench: Bench::new(), folder: temp_dir() }
    }

    /// A backup of three shards.
    async fn backup(flags: &[&str]) -> (Folder, Influxd) {
        let (folder, source) = (Folder::empty(), Influxd::start().await);
        fill(&source, 3).await;
        folder.back_up(&source, flags);
        (folder, source)
    }

    fn back_up(&self, source: &Influxd, flags: &[&str]) {
        let mut command = Command::new("influxd");
        command.args(["backup", "-host", &source.snapshot_address(), "-database", "sensu_db"]);
        let output = command.args(flags).arg(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file whose name ends so.
    fn named(&self, ending: &str) -> String {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.find(|name| name.ends_with(ending)).unwrap()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
    }

    async fn look_with(&self, config: Config) -> Outcome {
        let outcome = verify::folder(config, self.folder.path(), now(), Arc::new(())).await.unwrap();
        self.bench.assert_spool_is_empty();
        outcome
    }

    async fn look(&self, extent: Extent) -> Outcome {
        self.look_with(self.bench.config(extent)).await
    }

    /// Finds damage in the file of this name alone, and says so.
    async fn assert_damaged(&self, name: &str, what: &str) {
        let outcome = self.look(Extent::Digests).await;
        let [(object, found)] = damages(&outcome)[..] else { panic!("{name}: {outcome:?}") };
        assert_eq!(object, name);
        assert!(found.contains(what), "{what}: {found}");
    }
}

fn unpack(file: &Path) -> Vec<u8> {
    let output = Command::new("gzip").args(["-dc"]).arg(file).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let folder = temp_dir();
    let file = folder.path().join("tar");
    fs::write(&file, bytes).unwrap();
    let output = Command::new("gzip").args(["-nc"]).arg(&file).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[tokio::test]
async fn whole_backups_of_both_formats_pass() {
    for flags in [&[][..], &["-portable"]] {
        let (folder, _source) = Folder::backup(flags).await;
        for extent in [Extent::Digests, Extent::Deep, Extent::Decode] {
            let outcome = folder.look(extent).await;
            assert_whole(&outcome, 4);
            let notes = only(&outcome).notes.join("; ");
            assert!(notes.contains("influxd keeps no digests"), "{notes}");
            assert_eq!(only(&outcome).notes.len(), 1, "{notes}");
            assert!(outcome.bytes > 1000);
        }
        let mut seen = 0;
        for day in 0..2 {
            let config = Config { sample: Some("1/2".parse().unwrap()), ..folder.bench.config(Extent::Digests) };
            let now = now() + chrono::TimeDelta::days(day);
            let outcome = verify::folder(config, folder.folder.path(), now, Arc::new(())).await.unwrap();
            seen += outcome.objects;
        }
        assert_eq!(seen, 4);
    }
}

#[tokio::test]
async fn a_look_that_reads_nothing_is_refused_where_there_are_no_digests() {
    let folder = Folder::empty();
    fs::write(folder.path("demo.autogen.00001.00"), b"").unwrap();
    let config = folder.bench.config(Extent::Quick);
    let error = verify::folder(config, folder.folder.path(), now(), Arc::new(())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    assert!(error.hint_text().unwrap().contains("leave --quick out"), "{error}");
}

#[tokio::test]
async fn a_slice_into_which_nothing_falls_is_not_called_whole() {
    let folder = Folder::empty();
    fs::write(folder.path("demo.autogen.00001.00"), b"").unwrap();
    let mut empty = 0;
    for day in 0..3 {
        let config = Config { sample: Some("1/3".parse().unwrap()), ..folder.bench.config(Extent::Digests) };
        let now = now() + chrono::TimeDelta::days(day);
        let outcome = verify::folder(config, folder.folder.path(), now, Arc::new(())).await.unwrap();
        let summary = outcome.summary();
        assert!(!summary.contains("whole"), "{summary}");
        assert_eq!(summary.contains("nothing of it was due"), !outcome.is_damaged(), "{summary}");
        empty += u32::from(!outcome.is_damaged());
    }
    assert_eq!(empty, 2);
}

#[tokio::test]
async fn what_has_no_digests_is_not_said_to_be_compared_with_them() {
    let (folder, _source) = Folder::backup(&[]).await;
    let outcome = folder.look(Extent::Digests).await;
    assert_eq!(outcome.extent, Extent::Deep);
    assert!(outcome.summary().contains("bytes read, and looked into"), "{}", outcome.summary());
}

#[tokio::test]
async fn downloads_that_broke_off_are_found_and_the_whole_one_behind_is_named() {
    let folder = Folder::empty();
    fs::write(folder.path("demo.autogen.00001.00"), CUT).unwrap();
    folder.assert_damaged("demo.autogen.00001.00", "the tar ends after 1300 bytes").await;
    fs::write(folder.path("demo.autogen.00001.00"), DOUBLED).unwrap();
    folder.assert_damaged("demo.autogen.00001.00", "the whole one stands behind it from byte 1300 on").await;
    let outcome = folder.look(Extent::Digests).await;
    let hint = &only(&outcome).damages[0].hint;
    // What the hint says is true.
    let command = hint.split_once(": ").unwrap().1;
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    fs::write(folder.path("demo.autogen.00001.00"), output.stdout).unwrap();
    assert_whole(&folder.look(Extent::Decode).await, 1);
    assert!(only(&outcome).notes.iter().any(|note| note.contains("there is no metastore")), "{outcome:?}");
}

#[tokio::test]
async fn a_second_tar_is_found_wherever_it_begins() {
    let (folder, _source) = Folder::backup(&[]).await;
    let name = "sensu_db.default.00001.00";
    let whole = fs::read(folder.path(name)).unwrap();
    for cut in [1, 511, 512, 700, whole.len() - 1] {
        fs::write(folder.path(name), [&whole[..cut], &whole].concat()).unwrap();
        let found = folder.look(Extent::Digests).await;
        let [(_, what)] = damages(&found)[..] else { panic!("{cut}: {found:?}") };
        assert!(what.ends_with(&format!("behind it from byte {cut} on")), "{cut}: {what}");
    }
    // Beyond what is searched at once, where a magic lies across two pieces.
    for cut in [(256 << 10) - 260, (256 << 10) - 258, (1 << 20) + 3] {
        let mut bytes = whole[..700].to_vec();
        bytes.resize(cut, 7);
        fs::write(folder.path(name), [&bytes, &whole[..]].concat()).unwrap();
        folder.assert_damaged(name, &format!("behind it from byte {cut} on")).await;
    }
}

#[tokio::test]
async fn a_legacy_file_that_is_cut_anywhere_is_found() {
    let (folder, _source) = Folder::backup(&[]).await;
    for name in ["sensu_db.default.00002.00", "meta.00"] {
        let whole = fs::read(folder.path(name)).unwrap();
        for length in (0..whole.len()).step_by(97) {
            fs::write(folder.path(name), &whole[..length]).unwrap();
            folder.assert_damaged(name, "").await;
        }
        fs::write(folder.path(name), whole).unwrap();
    }
}

#[tokio::test]
async fn a_byte_that_was_changed_in_a_block_is_found_without_any_digest() {
    let (folder, _source) = Folder::backup(&[]).await;
    folder.change("sensu_db.default.00002.00", |bytes| bytes[512 + 20] ^= 1);
    folder
        .assert_damaged("sensu_db.default.00002.00", "000000001-000000001.tsm: block 1 of key \"cpu,host=a#!~#")
        .await;

    let (folder, _source) = Folder::backup(&["-portable"]).await;
    let name = folder.named(".s2.tar.gz");
    let mut tar = unpack(&folder.path(&name));
    tar[512 + 20] ^= 1;
    fs::write(folder.path(&name), pack(&tar)).unwrap();
    folder.assert_damaged(&name, "000000001-000000001.tsm: block 1 of key").await;
}

#[tokio::test]
async fn files_that_are_not_what_their_names_or_their_list_say_are_found() {
    let (folder, _source) = Folder::backup(&[]).await;
    fs::copy(folder.path("sensu_db.default.00001.00"), folder.path("sensu_db.default.00002.00")).unwrap();
    folder
        .assert_damaged("sensu_db.default.00002.00", "it holds the shard sensu_db/default/1, not the one of its name")
        .await;

    let (folder, _source) = Folder::backup(&["-portable"]).await;
    let (one, two) = (folder.named(".s1.tar.gz"), folder.named(".s2.tar.gz"));
    let whole = fs::read(folder.path(&two)).unwrap();
    fs::copy(folder.path(&one), folder.path(&two)).unwrap();
    folder.assert_damaged(&two, "").await;
    fs::write(folder.path(&two), &whole).unwrap();
    // The list says how long the tar is, also where it is whole.
    let tar = unpack(&folder.path(&two));
    fs::write(folder.path(&two), pack(&tar[..tar.len() - 512])).unwrap();
    folder.assert_damaged(&two, "without its trailer").await;
    let manifest = folder.named(".manifest");
    fs::write(folder.path(&two), &whole).unwrap();
    let length = format!("\"size\": {}", tar.len());
    folder.change(&manifest, |bytes| {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace(&length, "\"size\": 7").into();
    });
    let outcome = folder.look(Extent::Digests).await;
    assert!(
        damages(&outcome).iter().any(|(name, what)| *name == two && what.ends_with("the manifest says 7")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn every_part_of_a_portable_set_is_looked_at() {
    let (folder, _source) = Folder::backup(&["-portable"]).await;
    let (shard, meta, manifest) = (folder.named(".s3.tar.gz"), folder.named(".meta"), folder.named(".manifest"));
    let whole = fs::read(folder.path(&shard)).unwrap();
    for length in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path(&shard), &whole[..length]).unwrap();
        folder.assert_damaged(&shard, "").await;
    }
    let mut flipped = whole.clone();
    flipped[whole.len() - 6] ^= 1;
    fs::write(folder.path(&shard), flipped).unwrap();
    folder.assert_damaged(&shard, "it cannot be decompressed").await;
    fs::remove_file(folder.path(&shard)).unwrap();
    folder.assert_damaged(&shard, "the manifest names it, and it does not exist").await;
    fs::write(folder.path(&shard), &whole).unwrap();

    let packed = fs::read(folder.path(&meta)).unwrap();
    fs::write(folder.path(&meta), &packed[..packed.len() / 2]).unwrap();
    folder.assert_damaged(&meta, "").await;
    fs::write(folder.path(&meta), packed).unwrap();
    assert_whole(&folder.look(Extent::Deep).await, 4);

    // Written last: without it the run was killed.
    let listed = fs::read(folder.path(&manifest)).unwrap();
    fs::remove_file(folder.path(&manifest)).unwrap();
    folder.assert_damaged(&manifest, "influxd backup was ended before its end").await;
    fs::write(folder.path(&manifest), &listed[..listed.len() / 2]).unwrap();
    folder.assert_damaged(&manifest, "it is no list of files").await;
}

#[tokio::test]
async fn what_an_ended_run_left_is_found() {
    let (folder, _source) = Folder::backup(&[]).await;
    fs::write(folder.path("sensu_db.default.00004.00.pending"), b"half a shard").unwrap();
    folder.assert_damaged("sensu_db.default.00004.00.pending", "influxd backup was ended while it downloaded it").await;
}

#[tokio::test]
async fn what_the_folder_lacks_though_nothing_is_damaged_is_noted() {
    let (folder, source) = Folder::backup(&[]).await;
    fs::remove_file(folder.path("sensu_db.default.00002.00")).unwrap();
    let outcome = folder.look(Extent::Digests).await;
    assert_whole(&outcome, 3);
    let notes = only(&outcome).notes.join("; ");
    assert!(notes.contains("the metastore knows shards that are not here: sensu_db.default.00002"), "{notes}");

    let (folder, _source) = (Folder::empty(), source);
    folder.back_up(&_source, &["-portable"]);
    // A second set has another second in its name.
    let first = folder.named(".manifest");
    let stamp = first.trim_end_matches(".manifest").to_owned();
    let names: BTreeSet<String> = fs::read_dir(folder.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in &names {
        let other = name.replace(&stamp, "20200101T000000Z");
        fs::copy(folder.path(name), folder.path(&other)).unwrap();
        if name.ends_with(".manifest") {
            folder.change(&other, |bytes| {
                *bytes = String::from_utf8(bytes.clone()).unwrap().replace(&stamp, "20200101T000000Z").into();
            });
        }
    }
    let outcome = folder.look(Extent::Digests).await;
    assert_whole(&outcome, 8);
    assert!(only(&outcome).notes.iter().any(|note| note.contains("there are several sets")), "{outcome:?}");
}
