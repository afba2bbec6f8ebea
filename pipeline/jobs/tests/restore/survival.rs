//! What comes onto the target, and what stays there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use archive::names;
use archive::records::RestoreRecord;
use influx::metastore::Data;
use jobs::loaded;
use jobs::restore::Config;
use test_support::Influxd;

use crate::bench::{
    Bench, DAY, MIDNIGHT, NIGHT, assert_clean, count, fill, influx, influx_as, lines, metastore, points,
};

#[tokio::test]
async fn every_point_of_the_night_is_on_the_target_and_it_says_so() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;

    let dumps = bench.folder.path().join("dumps/of/influxdb");
    let config = Config { dump_directory: Some(dumps.clone()), ..bench.config(&target) };
    let outcome = bench.restore_with(config, &target).await.unwrap();

    let restored = points(&target, "sensu_db").await;
    assert_eq!(restored, points(&source, "sensu_db").await);
    assert_eq!(count(&restored), 12 * 20);
    assert_eq!((outcome.shards, outcome.host.as_str()), (12, "intermediary"));
    assert_eq!((outcome.databases, outcome.failures), (vec!["sensu_db".to_owned()], vec![]));
    assert!(dumps.is_dir());
    assert_clean(&target);

    let loaded = loaded::read(&influx(&target)).await.unwrap().unwrap();
    assert_eq!((loaded.container.as_str(), &loaded.manifest_sha256), (NIGHT, &outcome.manifest_sha256));
    assert_eq!(loaded.databases, ["sensu_db"]);
    let name = names::restore_record(NIGHT, "intermediary");
    let record: RestoreRecord = archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document;
    assert_eq!((record.shards, record.manifest_sha256), (12, outcome.manifest_sha256));
    assert_eq!(record.target.data_directory, target.data_dir().display().to_string());
    assert_eq!(record.target.cluster_id, metastore(&target).cluster_id.to_string());
}

#[tokio::test]
async fn a_target_keeps_all_that_is_its_own_and_hides_nothing() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    let bench = Bench::with_night_of(&source).await;

    // Its shard ids are the source's: `_internal`, another database, and the one that will be replaced.
    let target = Influxd::options().internal_database().admin("boss", "secret").start().await;
    while metastore(&target).database("_internal").is_none_or(|database| database.live_shards().count() == 0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fill(&target, "other", 4).await;
    fill(&target, "sensu_db", 3).await;
    target.write("sensu_db", &format!("cpu,host=h0 idle=-1 {}", MIDNIGHT + 5)).await;
    target.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    target.statement("GRANT READ ON \"other\" TO reader").await;
    // Points of the old database that are in the log only, and a shard that the metastore has forgotten, whose
    // number is one of the night's.
    target.write("sensu_db", &format!("stale,host=h0 idle=-1 {MIDNIGHT}")).await;
    assert!(target.wal_dir().join("sensu_db").exists());
    let forgotten = target.data_dir().join("other/default/11");
    assert!(!forgotten.exists());
    copy_shard(&target.data_dir().join("other/default"), &forgotten);
    let (before, others) = (metastore(&target), points(&target, "other").await);
    assert_eq!(count(&others), 80);

    let client = influx_as(&target, "boss", "secret");
    let config = Config { first_restore: true, ..bench.config(&target) };
    let outcome = bench.restore_by(config, client.clone()).await.unwrap();

    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(points(&target, "other").await, others);
    assert!(forgotten.exists(), "what is not ours stays where it is");
    let after = metastore(&target);
    assert_eq!(after.users, before.users);
    assert_eq!(after.cluster_id, before.cluster_id);
    assert_eq!(after.database("other"), before.database("other"));
    assert!(after.database("_internal").is_some_and(|database| database.live_shards().count() > 0));
    let shards = shard_ids(&after);
    assert_eq!(shards.len(), shards.iter().collect::<std::collections::BTreeSet<_>>().len(), "{shards:?}");
    assert!(outcome.differences.iter().any(|line| line.contains("other ids")), "{:?}", outcome.differences);
    // Nobody gets in without a password, and nobody may make an admin.
    let anonymous = influx(&target).statement(None, "CREATE USER eve WITH PASSWORD 'e' WITH ALL PRIVILEGES").await;
    assert!(matches!(anonymous, Err(influx::Error::Unauthorized { .. })), "{anonymous:?}");
    assert_eq!(loaded::read(&client).await.unwrap().unwrap().container, NIGHT);
    assert_clean(&target);
}

/// Every shard of all databases.
fn shard_ids(data: &Data) -> Vec<u64> {
    data.databases
        .iter()
        .flat_map(|database| database.live_shards().map(|shard| shard.id).collect::<Vec<_>>())
        .collect()
}

/// Copies the first shard directory in `policy` to `to`.
fn copy_shard(policy: &Path, to: &Path) {
    let first = fs::read_dir(policy).unwrap().next().unwrap().unwrap().path();
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(first).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn the_next_night_replaces_this_one_with_all_that_was_written_into_the_copy() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    bench.restore(&target).await.unwrap();

    target.write("sensu_db", &format!("stale idle=1 {MIDNIGHT}\ncpu,host=h1 idle=99 {}", MIDNIGHT + 1)).await;
    source.write("sensu_db", &lines(4, 3)).await;
    let next = Bench::with_night_of(&source).await;
    next.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(count(&points(&target, "sensu_db").await), 80);
    assert_clean(&target);
}

#[tokio::test]
async fn a_policy_of_one_week_restored_years_later_is_still_there() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 10).await;
    source.statement("CREATE DATABASE hourly").await;
    source
        .statement("CREATE CONTINUOUS QUERY mean ON sensu_db BEGIN SELECT mean(idle) AS idle INTO hourly..cpu FROM cpu GROUP BY time(1h) END")
        .await;
    source.statement("CREATE SUBSCRIPTION forward ON sensu_db.\"default\" DESTINATIONS ALL 'udp://127.0.0.1:9'").await;
    source.statement("CREATE USER boss WITH PASSWORD 'secret' WITH ALL PRIVILEGES").await;
    let all = points(&source, "sensu_db").await;
    source.statement("ALTER RETENTION POLICY \"default\" ON sensu_db DURATION 168h SHARD DURATION 24h").await;
    let bench = Bench::with_night_of(&source).await;

    let target = Influxd::options().set("retention", "check-interval", "\"100ms\"").start().await;
    let outcome = bench.restore(&target).await.unwrap();
    // The target looks for what is too old at least once more after the restore.
    let checks = |log: &str| log.matches("Retention policy deletion check").count();
    let seen = checks(&target.log());
    for _ in 0..600 {
        if checks(&target.log()) > seen + 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(checks(&target.log()) > seen + 2, "{}", target.log());
    assert_eq!(points(&target, "sensu_db").await, all);
    assert_eq!(count(&all), 200);

    let data = metastore(&target);
    let copy = data.database("sensu_db").unwrap();
    assert_eq!((copy.policies[0].duration, copy.policies[0].shard_group_duration), (0, DAY));
    assert!(copy.continuous_queries.is_empty() && copy.policies[0].subscriptions.is_empty() && data.users.is_empty());
    assert_eq!(
        outcome.differences,
        [
            "continuous query mean of sensu_db is left out",
            "subscription forward of sensu_db.default is left out",
            "sensu_db.default keeps points for ever instead of 168 hours",
            "users, with their grants, are left out: 1",
        ]
    );
}

#[tokio::test]
async fn names_of_all_kinds_and_shards_whose_number_ends_in_zero_arrive() {
    let source = Influxd::start().await;
    let databases = ["a", "a.b", "dbé.x y", "quote\"d 'n' $ %2F", "-", "123"];
    for database in databases {
        let quoted = influx::quote_identifier(database);
        source.statement(&format!("CREATE DATABASE {quoted} WITH DURATION INF SHARD DURATION 1d NAME \"r.p ö\"")).await;
        source.statement(&format!("CREATE RETENTION POLICY \"77\" ON {quoted} DURATION INF REPLICATION 1")).await;
        source.write(database, &lines(4, 2)).await;
        source.write_into(database, "77", &format!("m\\ sp\\,c,t\\ k\\=x=v\\ a\\=l\\,ue f\\ ld=1 {}", -5 * DAY)).await;
    }
    source.write("a", "first v=1 -9223372036854775806\nlast v=2i 9223372036854775806").await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!((outcome.databases.len(), outcome.shards), (6, 32));
    let numbers = shard_ids(&metastore(&target));
    assert!(numbers.contains(&10) && numbers.contains(&30), "{numbers:?}");
    for database in databases {
        let restored = points(&target, database).await;
        assert_eq!(restored, points(&source, database).await, "{database}");
        assert!(count(&restored) >= 81, "{database}");
    }
}

#[tokio::test]
async fn names_that_influxdb_uses_itself_arrive_although_nobody_can_ask_for_them() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    for (day, line) in [
        (1, "_series,host=a value=1"),
        (2, "_name,_name=a value=1"),
        (3, "m,_name=a,_tagKey=b value=1"),
        (4, "m,_tagValue=a value=1"),
        (5, "m,_seriesKey=a,_fieldKey=b value=1"),
        (6, "m,_field=a value=1"),
        (7, "m,_measurement=a _value=1,_name=2"),
        (8, "_m,t=a time_=1\n_m2,_name=x value=1"),
        (9, "m,a=_name,__t=x value=1"),
    ] {
        let time = MIDNIGHT - day * DAY;
        let lines: Vec<String> = line.lines().map(|line| format!("{line} {time}")).collect();
        source.write("sensu_db", &lines.join("\n")).await;
    }
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    assert_eq!(bench.restore(&target).await.unwrap().shards, 10);
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn what_was_deleted_stays_deleted() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 5).await;
    source.restart().await;
    // A tombstone in one shard, a whole shard group in another.
    source.query("sensu_db", "DELETE FROM cpu WHERE host = 'h3' AND time < '2016-06-10'").await;
    let dropped = shard_ids(&metastore(&source))[0];
    source.statement(&format!("DROP SHARD {dropped}")).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!(outcome.shards, 4);
    let restored = points(&target, "sensu_db").await;
    assert_eq!(restored, points(&source, "sensu_db").await);
    assert!(count(&restored) < 80, "{}", count(&restored));
    let groups = &metastore(&target).database("sensu_db").unwrap().policies[0].shard_groups.len();
    assert_eq!(*groups, 4, "the deleted group is left out");
}

#[tokio::test]
async fn a_target_with_an_index_on_disk_builds_it_anew() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().set("data", "index-version", "\"tsi1\"").start().await;
    fill(&target, "sensu_db", 1).await;
    let config = Config { first_restore: true, ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert!(target.data_dir().join("sensu_db/default").exists());
}

#[tokio::test]
async fn only_the_database_that_was_asked_for_is_replaced() {
    let source = Influxd::start().await;
    fill(&source, "one", 2).await;
    fill(&source, "two", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "two", 7).await;
    let two = points(&target, "two").await;
    let config = Config { databases: vec!["one".to_owned()], ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "one").await, points(&source, "one").await);
    assert_eq!(points(&target, "two").await, two);
}

#[tokio::test]
async fn a_small_disk_gets_the_new_after_the_old_is_gone() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 4).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "sensu_db", 9).await;
    // A spool on another file system, and one on the same.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    for spool in [elsewhere.path().to_owned(), bench.folder.path().join("spool")] {
        let mut config = Config { drop_first: true, first_restore: true, ..bench.config(&target) };
        config.place.spool = spool.clone();
        bench.restore_with(config, &target).await.unwrap();
        assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
        assert_clean(&target);
        assert_eq!(fs::read_dir(spool).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn files_belong_to_whom_the_targets_files_belong() {
    use std::os::unix::fs::MetadataExt;

    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "other", 1).await;
    let meta_db = target.meta_dir().join("meta.db");
    if fs::metadata(&meta_db).unwrap().uid() == 0 {
        // Root restores what belongs to the server's own user.
        for path in [&target.data_dir(), &meta_db] {
            std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
        }
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let owner = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
    let before = (mode(&target.data_dir().join("other")), mode(&meta_db), owner(&meta_db));
    // A server that is started does not change the owners: it is asked before it has written anything.
    let seen = bench.folder.path().join("seen");
    let config = bench.config(&target);
    let look = format!("stat -c '%u %g' {} >{}", meta_db.display(), seen.display());
    let config = Config { start_command: format!("{look}; {}", config.start_command), ..config };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(fs::read_to_string(seen).unwrap().trim(), format!("{} {}", before.2.0, before.2.1));
    assert_eq!(mode(&meta_db), before.1);
    let list = target.meta_dir().join("nightshard.json");
    assert_eq!((owner(&list), mode(&list)), (before.2, before.1), "of what is ours");
    let database = target.data_dir().join("sensu_db");
    let shard = fs::read_dir(database.join("default")).unwrap().next().unwrap().unwrap().path();
    let table = shard.join("000000001-000000001.tsm");
    for path in [&database, &database.join("default"), &shard, &table] {
        assert_eq!(owner(path), owner(&target.data_dir()), "{}", path.display());
    }
    assert_eq!((mode(&database), mode(&shard), mode(&table)), (before.0, before.0, before.0 & 0o666));
}
