//! Nights that `influxd backup` has left without a seal: looked at, adopted, and refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use archive::pool::Naming;
use archive::records::{DeletionRecord, RunState, RunningMarker};
use archive::verification::VerifyRecord;
use archive::{BackupManifest, Document, names, read};
use chrono::{TimeDelta, Utc};
use jobs::verify::{self, Adopting, Config, Extent, Outcome};
use jobs::{Error, Event, Kind, Lock};
use store::Store;
use test_support::{Influxd, temp_dir};

use super::bench::{Bench, Listener, NIGHT, assert_whole, damages, fill, now, only, shard};

/// What `influxd backup` left behind, with exit status 0, when its download was reset after 1300 bytes and tried again.
const DOUBLED: &[u8] = include_bytes!("../../../tsm/tests/vectors/doubled.tar");

/// Where the files of the night lie.
fn shards(bench: &Bench) -> PathBuf {
    bench.file(&names::shards_prefix(NIGHT))
}

fn back_up(source: &Influxd, folder: &Path, flags: &[&str]) {
    let mut command = Command::new("influxd");
    command.args(["backup", "-host", &source.snapshot_address()]).args(flags).arg(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A night of three shards, as a script leaves it.
async fn old_night() -> (Bench, Influxd) {
    let (bench, source) = (Bench::new(), Influxd::start().await);
    fill(&source, 3).await;
    back_up(&source, &shards(&bench), &["-database", "sensu_db"]);
    (bench, source)
}

fn adopting(incomplete: bool) -> Adopting {
    Adopting { date: NIGHT.parse().unwrap(), incomplete }
}

async fn adopt_in(bench: &Bench, store: Arc<dyn Store>, incomplete: bool) -> Result<Outcome, Error> {
    let config = bench.config(Extent::Digests);
    let adopted = verify::adopt(config, adopting(incomplete), now(), store, Arc::new(())).await;
    bench.assert_spool_is_empty();
    adopted
}

async fn adopt(bench: &Bench) -> Result<Outcome, Error> {
    adopt_in(bench, Arc::clone(&bench.store), false).await
}

async fn adopt_incomplete(bench: &Bench) -> Result<Outcome, Error> {
    adopt_in(bench, Arc::clone(&bench.store), true).await
}

fn is_sealed(bench: &Bench) -> bool {
    bench.file(&names::backup_manifest(NIGHT)).exists()
}

async fn seal(bench: &Bench, night: &str) -> BackupManifest {
    let seal = names::backup_manifest(night);
    read::<BackupManifest>(bench.store.as_ref(), night, &seal).await.unwrap().document
}

#[tokio::test]
async fn what_a_script_has_stored_gets_the_seal_that_a_backup_would_have_given_it() {
    let before = Utc::now();
    let (bench, source) = old_night().await;
    let after = Utc::now();
    let elsewhere: Arc<dyn Store> = bench.elsewhere();
    for store in [elsewhere, Arc::clone(&bench.store)] {
        let _ = fs::remove_dir_all(bench.file(&names::manifests_prefix(NIGHT)));
        let outcome = adopt_in(&bench, store, false).await.unwrap();
        assert_whole(&outcome, 4);
        let night = only(&outcome);
        assert!(
            night.adopted && night.recorded && night.notes.is_empty() && night.manifest_sha256.is_some(),
            "{night:?}"
        );
        assert!(outcome.summary().starts_with("2016-06-11: 4 objects, "), "{}", outcome.summary());
        assert!(outcome.summary().contains("whole, and sealed now"), "{}", outcome.summary());
    }
    let adopted = seal(&bench, NIGHT).await;

    // The same server is backed up by ourselves right after that.
    bench.back_up(&source, "2016-06-12").await;
    let ours = seal(&bench, "2016-06-12").await;
    assert_eq!(adopted.objects.len(), 4);
    for (adopted, ours) in adopted.objects.iter().zip(&ours.objects) {
        assert_eq!(adopted.name, ours.name.replace("2016-06-12/", "2016-06-11/"));
        assert_eq!(
            (adopted.bytes, &adopted.sha256, &adopted.md5),
            (ours.bytes, &ours.sha256, &ours.md5),
            "{}",
            ours.name
        );
    }
    for ((_, adopted), (_, ours)) in adopted.shards().zip(ours.shards()) {
        assert_eq!((&adopted.database, &adopted.retention_policy), (&ours.database, &ours.retention_policy));
        assert_eq!((adopted.shard_id, adopted.starts, adopted.ends), (ours.shard_id, ours.starts, ours.ends));
        assert_eq!(adopted.files, ours.files);
        assert!(adopted.files.iter().all(|file| file.inside.is_some()), "{:?}", adopted.files);
    }
    assert_eq!((&adopted.measurements, &adopted.databases), (&ours.measurements, &ours.databases));
    assert_eq!((&adopted.verified, &adopted.source.cluster_id), (&ours.verified, &ours.source.cluster_id));
    assert_eq!((adopted.night.to_string().as_str(), adopted.time_zone.as_str()), (NIGHT, "UTC"));
    assert_eq!((adopted.source.host.as_str(), adopted.source.url.as_str()), ("", ""));
    let adoption = adopted.adopted.as_ref().unwrap();
    assert!(adoption.by == "db1" && adoption.at >= now() && ours.adopted.is_none(), "{adoption:?}");

    // What is taken for the instant of a snapshot is not after it, nor long before.
    for (_, shard) in adopted.shards() {
        let taken = shard.snapshot_taken;
        assert!(before - TimeDelta::seconds(62) <= taken && taken < after - TimeDelta::seconds(58), "{taken} {after}");
    }
    let earliest = adopted.shards().map(|(_, shard)| shard.snapshot_taken).min().unwrap();
    assert_eq!(adopted.started, earliest);
    assert!(before <= adopted.sealed && adopted.sealed <= after, "{}", adopted.sealed);

    // From now on it is a night as any other, and was looked into as closely.
    let naming = read::<Naming>(bench.store.as_ref(), NIGHT, &names::backup_manifest(NIGHT)).await.unwrap().document;
    assert_eq!(naming.taken(), adopted.sealed, "no older than it is, where old nights are cleared away");
    let record = names::verify_record(NIGHT);
    let record = read::<VerifyRecord>(bench.store.as_ref(), NIGHT, &record).await.unwrap().document;
    assert_eq!(record.verifications.iter().map(|one| one.extent.as_str()).collect::<Vec<_>>(), ["deep"]);
    for extent in super::bench::EXTENTS {
        let outcome = bench.verify(extent).await;
        assert_whole(&outcome, 4);
        assert!(only(&outcome).notes.is_empty() && !only(&outcome).adopted, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_night_without_a_seal_is_looked_into_as_it_lies_there_and_nothing_is_written() {
    let (bench, _source) = old_night().await;
    let files = || fs::read_dir(bench.file(NIGHT)).unwrap().count();
    for extent in [Extent::Digests, Extent::Deep, Extent::Decode] {
        for outcome in [bench.verify(extent).await, bench.verify_elsewhere(bench.config(extent)).await.unwrap()] {
            assert_whole(&outcome, 4);
            let night = only(&outcome);
            assert_eq!((night.manifest_sha256.as_ref(), night.recorded, night.adopted), (None, false, false));
            let [note] = &night.notes[..] else { panic!("{night:?}") };
            assert!(note.contains("there is no seal") && note.contains("--adopt 2016-06-11"), "{note}");
            assert_eq!(files(), 1, "shards/ alone");
        }
    }
    let mut seen = 0;
    for day in 0..2 {
        let config = Config { sample: Some("1/2".parse().unwrap()), ..bench.config(Extent::Digests) };
        seen += bench.verify_later(config, day, Arc::new(())).await.unwrap().objects;
    }
    assert_eq!(seen, 4);
    let error = bench.verify_with(bench.config(Extent::Quick)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{error}");
    assert!(error.hint_text().unwrap().contains("without --quick it is looked into"), "{error:?}");

    // What is damaged, what should not be there, and what may have been forgotten.
    bench.damage(&shard(1), |bytes| bytes.truncate(700));
    bench.damage(&shard(2), |bytes| *bytes = DOUBLED.to_vec());
    fs::rename(bench.file(&shard(3)), shards(&bench).join("sensu_db.default.00003.00.pending")).unwrap();
    fs::write(shards(&bench).join("20261120T143817Z.s1.tar.gz"), b"").unwrap();
    for outcome in
        [bench.verify(Extent::Digests).await, bench.verify_elsewhere(bench.config(Extent::Digests)).await.unwrap()]
    {
        let found = damages(&outcome);
        assert_eq!(found.len(), 3, "{outcome:?}");
        assert!(found[0].1.contains("the tar ends after 700 bytes"), "{found:?}");
        assert!(found[1].1.contains("the whole one stands behind it from byte 1300 on"), "{found:?}");
        assert!(found[2].1.contains("it is the beginning of a file"), "{found:?}");
        let night = only(&outcome);
        assert!(night.damages[1].hint.contains("tail -c +1301"), "{night:?}");
        assert!(night.unchecked[0].contains("a portable backup"), "{night:?}");
        assert!(night.notes[0].contains("shards that are not here: sensu_db.default.00003"), "{night:?}");
    }
}

#[tokio::test]
async fn a_night_that_lost_its_seal_is_looked_into_and_told_of_and_gets_another_one() {
    let (bench, _source) = Bench::with_shards(2).await;
    bench.verify(Extent::Quick).await;
    let before = seal(&bench, NIGHT).await;
    fs::remove_file(bench.file(&names::backup_manifest(NIGHT))).unwrap();
    let outcome = bench.verify(Extent::Digests).await;
    assert_eq!((outcome.objects, outcome.is_damaged()), (3, false));
    assert!(outcome.failures[0].contains("shards lie there without a seal; it was lost"), "{outcome:?}");
    let outcome = adopt(&bench).await.unwrap();
    assert!(only(&outcome).notes[0].contains("as if it had had a seal before"), "{outcome:?}");
    let after = seal(&bench, NIGHT).await;
    assert_eq!((&before.databases, &before.measurements), (&after.databases, &after.measurements));
    assert!(before.objects.iter().zip(&after.objects).all(|(one, other)| one.sha256 == other.sha256));
    assert_whole(&bench.verify(Extent::Deep).await, 3);
}

/// A marker of a run that is alive, or has failed.
async fn mark(bench: &Bench, state: RunState) {
    let marker = RunningMarker {
        format: RunningMarker::FORMAT.to_owned(),
        id: "aa".to_owned(),
        writer: bench.place().writer,
        host: "db7".to_owned(),
        process: 42,
        cluster_id: "7".to_owned(),
        databases: vec!["sensu_db".to_owned()],
        started: now(),
        is_deleting: false,
        state,
    };
    archive::replace(bench.store.as_ref(), NIGHT, &names::running_marker(NIGHT, "aa"), &marker).await.unwrap();
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_before_a_shard_is_read() {
    let (whole, source) = old_night().await;
    let files = shards(&whole);
    let portable = temp_dir();
    back_up(&source, portable.path(), &["-portable", "-database", "sensu_db"]);
    // What is in shards/, the kind of error, and parts of message and hint. A change is OLD>NEW, or +COPY of shard 1.
    let table = "
        nothing                                  | Missing | nothing in 2016-06-11 that could be adopted | is the date right
        +notes.txt -meta.00 -1 -2 -3             | Missing | neither a metastore (meta.00) nor a shard | is the date right
        -1 -2 -3                                 | Missing | there is a metastore in 2016-06-11/shards/, and no shard | -database
        -meta.00                                 | Failed  | there is no metastore (meta.00) | a night close by
        meta.00>meta.01                          | Failed  | there is no metastore (meta.00) | a night close by
        +sensu_db.default.00001.01 +meta.01      | Failed  | several backups lie in 2016-06-11/shards/: 2016-06-11/shards/sensu_db.default.00001.01 | all but those that end in .00
        +sensu_db.default.00099.00               | Failed  | sensu_db.default.00099.00 is no shard of 2016-06-11: the metastore has no shard 99 that is in use | moved elsewhere
        1>sensu.default.00001.00                 | Failed  | would be called 2016-06-11/shards/sensu_db.default.00001.00 | moved elsewhere
        +sensu_db.week.00001.00 +x.y.00044.00    | Failed  | is of sensu_db.default, and would be called 2016-06-11/shards/sensu_db.default.00001.00 (and 1 more) | moved elsewhere
        portable                                 | Failed  | holds a portable backup, such as 2016-06-11/shards/20 | without -portable
        alive                                    | Locked  | 2016-06-11 is being backed up on db7 (process 42) | seals the night itself
        failed                                   | Failed  | 2016-06-11 is what a run of nightshard-backup has left: the disk is full | the same nightshard-backup
        deleted                                  | Failed  | 2016-06-11: it is being deleted by | may not be whole
        locked                                   | Locked  | another run on this machine holds the lock | wait until it has ended
        sealed                                   | Failed  | 2016-06-11 is adopted already, since 20 | --date 2016-06-11";
    for row in table.lines().skip(1) {
        let [given, kind, message, hint] = row.split('|').map(str::trim).collect::<Vec<_>>().try_into().unwrap();
        let bench = Bench::new();
        let folder = shards(&bench);
        fs::create_dir_all(&folder).unwrap();
        let from = if given == "portable" { portable.path() } else { &files };
        for entry in fs::read_dir(from).unwrap().filter(|_| given != "nothing") {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        let named = |text: &str| match text.parse::<u64>() {
            Ok(id) => folder.join(format!("sensu_db.default.{id:05}.00")),
            Err(_) => folder.join(text),
        };
        let mut held = None;
        match given {
            "nothing" | "portable" => {}
            "alive" => mark(&bench, RunState::Running).await,
            "failed" => mark(&bench, RunState::Failed { error: "the disk is full".to_owned() }).await,
            "deleted" => {
                let deletion = DeletionRecord {
                    format: DeletionRecord::FORMAT.to_owned(),
                    writer: bench.place().writer,
                    host: "db7".to_owned(),
                    started: now(),
                    manifest_sha256: String::new(),
                    finished: None,
                };
                let record = names::deletion_record(NIGHT);
                archive::replace(bench.store.as_ref(), NIGHT, &record, &deletion).await.unwrap();
            }
            "locked" => {
                let name = format!("backup-{}-{NIGHT}", bench.store.location());
                held = Some(Lock::exclusive(&bench.place().locks, &name).unwrap());
            }
            "sealed" => drop(adopt(&bench).await.unwrap()),
            changes => {
                for change in changes.split_whitespace() {
                    match change.split_at(1) {
                        ("-", name) => fs::remove_file(named(name)).unwrap(),
                        ("+", name) => drop(fs::copy(files.join("sensu_db.default.00001.00"), named(name)).unwrap()),
                        _ => {
                            let (old, new) = change.split_once('>').unwrap();
                            fs::rename(named(old), named(new)).unwrap();
                        }
                    }
                }
            }
        }
        let error = adopt(&bench).await.unwrap_err();
        drop(held);
        assert_eq!(format!("{:?}", error.kind()), kind, "{given}: {error}");
        assert!(error.to_string().contains(message), "{given}: {message} is not in {error}");
        assert!(error.hint_text().unwrap().contains(hint), "{given}: {hint} is not in {:?}", error.hint_text());
        assert_eq!(is_sealed(&bench), given == "sealed", "{given}");
    }
}

#[tokio::test]
async fn objects_that_are_called_otherwise_get_their_names_by_the_command_that_the_hint_says() {
    let (whole, _source) = old_night().await;
    for folder in ["shards", ""] {
        let bench = Bench::new();
        let from = bench.file(NIGHT).parent().unwrap().join(folder);
        fs::create_dir_all(&from).unwrap();
        for entry in fs::read_dir(shards(&whole)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), from.join(entry.file_name())).unwrap();
        }
        let error = adopt(&bench).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.to_string().contains("called otherwise than a night's objects"), "{error}");
        let error = bench.verify_with(bench.config(Extent::Digests)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert!(error.hint_text().unwrap().contains("nightshard-verify --adopt 2016-06-11"), "{error:?}");
        let hint = adopt(&bench).await.unwrap_err().hint_text().unwrap().to_owned();
        let (place, command) = hint.strip_prefix("in ").unwrap().split_once(": ").unwrap();
        let output = Command::new("sh").args(["-euc", command]).current_dir(place).output().unwrap();
        assert!(output.status.success(), "{hint}: {output:?}");
        assert_whole(&adopt(&bench).await.unwrap(), 4);
    }
}

#[tokio::test]
async fn everything_that_is_damaged_is_named_and_keeps_the_night_from_its_seal() {
    let (bench, source) = old_night().await;
    bench.damage(&shard(1), |bytes| bytes.truncate(700));
    bench.damage(&shard(2), |bytes| bytes[600] ^= 1);
    fs::write(shards(&bench).join("sensu_db.default.00004.00.pending"), b"beginning").unwrap();
    for store in [bench.elsewhere(), Arc::clone(&bench.store)] {
        let outcome = adopt_in(&bench, store, true).await.unwrap();
        assert!(outcome.is_damaged() && !is_sealed(&bench));
        let night = only(&outcome);
        assert!(!night.adopted && !night.recorded && night.manifest_sha256.is_none(), "{night:?}");
        let found = damages(&outcome);
        assert_eq!(found.len(), 3, "{outcome:?}");
        assert!(found[0].0 == shard(1) && found[0].1.contains("the tar ends after 700 bytes"), "{found:?}");
        assert!(found[1].0 == shard(2) && found[1].1.contains("000000001-000000001.tsm: "), "{found:?}");
        assert!(found[2].1.contains("it is the beginning of a file"), "{found:?}");
        assert!(night.damages[0].hint.contains("moved elsewhere"), "{night:?}");
    }
    // Another shard under the name of this one.
    fs::remove_file(shards(&bench).join("sensu_db.default.00004.00.pending")).unwrap();
    fs::copy(bench.file(&shard(3)), bench.file(&shard(1))).unwrap();
    fs::remove_file(bench.file(&shard(2))).unwrap();
    let outcome = adopt(&bench).await.unwrap();
    assert!(damages(&outcome)[0].1.contains("it holds the shard sensu_db/default/3, not the one"), "{outcome:?}");
    assert!(damages(&outcome).len() == 2 && damages(&outcome)[1].0 == shard(2), "{outcome:?}");
    // What is missing is named as well.
    fs::remove_file(bench.file(&shard(1))).unwrap();
    let outcome = adopt(&bench).await.unwrap();
    let absent = "it does not exist, and the metastore knows it";
    assert_eq!(damages(&outcome), [(shard(1).as_str(), absent), (shard(2).as_str(), absent)]);
    assert!(only(&outcome).damages[0].hint.contains("--incomplete adopts this one without it"), "{outcome:?}");
    assert!(!is_sealed(&bench));
    // Without it the rest gets its seal where that is wanted, and the seal tells of that.
    let outcome = adopt_incomplete(&bench).await.unwrap();
    assert_whole(&outcome, 2);
    assert!(only(&outcome).notes[0].contains("sensu_db.default.00001, sensu_db.default.00002"), "{outcome:?}");
    assert_eq!(seal(&bench, NIGHT).await.warnings, only(&outcome).notes);

    // A metastore that cannot be read tells of no shard.
    let bench = Bench::new();
    back_up(&source, &shards(&bench), &["-database", "sensu_db"]);
    bench.damage(&names::metastore(NIGHT), |bytes| bytes.truncate(40));
    let outcome = adopt(&bench).await.unwrap();
    let [(object, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert!(object == names::metastore(NIGHT) && what.contains("the metastore ends after 40 bytes"), "{what}");
    assert!(!is_sealed(&bench));
}

#[tokio::test]
async fn a_script_that_took_one_database_after_the_other_has_left_one_night() {
    let (bench, source) = (Bench::new(), Influxd::options().internal_database().start().await);
    fill(&source, 2).await;
    for database in ["hosts", "other", "nothing"] {
        source.statement(&format!("CREATE DATABASE {database}")).await;
    }
    source.write("hosts", "m value=1 1465603200000000000").await;
    source.write("other", "m value=1 1465603200000000000").await;
    for database in ["sensu_db", "hosts", "nothing"] {
        back_up(&source, &shards(&bench), &["-database", database]);
    }
    let outcome = adopt(&bench).await.unwrap();
    assert_whole(&outcome, 4);
    let adopted = seal(&bench, NIGHT).await;
    assert_eq!(
        adopted.databases,
        ["hosts", "sensu_db"],
        "of others there is nothing, and nobody knows whether they were asked for"
    );
    assert_eq!(
        adopted.warnings,
        [
            "the metastore knows databases or retention policies of which no shard is here: other",
            "2 metastores of further runs lie beside that of the first, which is the night's",
        ]
    );
    assert_whole(&bench.verify(Extent::Deep).await, 4);
}

#[tokio::test]
async fn shards_without_files_are_as_old_as_the_oldest_that_has_some() {
    let (bench, source) = (Bench::new(), Influxd::start().await);
    fill(&source, 3).await;
    // A shard of which everything was deleted before it was ever written out has none.
    source.query("sensu_db", "DELETE FROM cpu WHERE time < '2016-06-10T00:00:00Z'").await;
    back_up(&source, &shards(&bench), &["-database", "sensu_db"]);
    let sizes = (1..=3).map(|id| fs::metadata(bench.file(&shard(id))).unwrap().len()).collect::<Vec<_>>();
    assert!(sizes.contains(&1024), "{sizes:?}");
    let outcome = adopt(&bench).await.unwrap();
    assert_whole(&outcome, 4);
    let adopted = seal(&bench, NIGHT).await;
    let empty: Vec<_> = adopted.shards().filter(|(_, shard)| shard.files.is_empty()).collect();
    assert_eq!(empty.len(), 1);
    assert_eq!(empty[0].1.snapshot_taken, adopted.started);
    assert_whole(&bench.verify(Extent::Deep).await, 4);
}

#[tokio::test]
async fn a_night_that_changes_while_it_is_read_gets_no_seal() {
    let (bench, _source) = old_night().await;
    let (object, lying) = (bench.file(&shard(2)), shards(&bench));
    let changes: [Box<dyn Fn() + Send + Sync>; 3] = [
        // Written anew, with the same bytes.
        Box::new(move || {
            let file = fs::File::options().append(true).open(&object).unwrap();
            file.set_modified(SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
        }),
        Box::new({
            let lying = lying.clone();
            move || {
                fs::copy(lying.join("meta.00"), lying.join("sensu_db.default.00009.00")).unwrap();
            }
        }),
        Box::new(move || fs::remove_file(lying.join("sensu_db.default.00001.00")).unwrap()),
    ];
    for change in changes {
        // The last one, where they are read one after the other.
        let listener = Listener::new(move |event: &Event<'_>| {
            if matches!(event, Event::Done { name, .. } if *name == shard(3)) {
                change();
            }
        });
        let config = Config { parallel: 1, ..bench.config(Extent::Digests) };
        let adopted = verify::adopt(config, adopting(false), now(), Arc::clone(&bench.store), listener).await;
        let error = adopted.unwrap_err();
        assert!(error.to_string().contains("was changed while the night was read"), "{error}");
        assert!(!is_sealed(&bench));
        let _ = fs::remove_file(shards(&bench).join("sensu_db.default.00009.00"));
    }
}
