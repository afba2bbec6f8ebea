//! The worst day: production rebuilt, and brought back as it was; and the servers onto which nothing is brought.

use std::fs;

use jobs::restore::{Config, Recovery};
use jobs::{Kind, loaded};
use test_support::{Influxd, temp_dir};

use crate::bench::{
    Bench, DAY, MIDNIGHT, NIGHT, assert_clean, count, edit, fill, influx, metastore, now, once, once_called, points,
};
use crate::refusals::assert_refused;

fn recovery(bench: &Bench, target: &Influxd) -> Config {
    Config { recovery: Some(Recovery { accept_expiry: false }), ..bench.config(target) }
}

/// Production with a week that is nearly over.
async fn production() -> Influxd {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 5).await;
    // A server of today would remove these points at once; the check comes every half hour.
    source.statement("CREATE DATABASE short WITH DURATION 0s SHARD DURATION 1d NAME \"week\"").await;
    for day in 0..10 {
        source.write("short", &format!("m v={day} {}", MIDNIGHT - day * DAY)).await;
    }
    source
}

#[tokio::test]
async fn everything_comes_back_and_the_target_keeps_what_it_has() {
    let source = production().await;
    source.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    source.statement("GRANT READ ON short TO reader").await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "other", 3).await;
    target.statement("CREATE USER own WITH PASSWORD 'o'").await;
    let (before, others) = (metastore(&target), points(&target, "other").await);

    let outcome = bench.restore_with(recovery(&bench, &target), &target).await.unwrap();
    assert_eq!((outcome.shards, outcome.failures), (15, vec![]));
    for database in ["sensu_db", "short"] {
        assert_eq!(points(&target, database).await, points(&source, database).await);
    }
    assert_eq!(points(&target, "other").await, others);
    let (after, from) = (metastore(&target), metastore(&source));
    assert_eq!(after.users, [before.users.clone(), from.users].concat());
    // A server with a database of its own stays who it is.
    assert_eq!(after.cluster_id, before.cluster_id);
    // No intermediary: it has no record, and nothing there may be replaced.
    assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None);
    assert!(after.database(loaded::DATABASE).is_none());
    assert_clean(&target);
    let message = "which were not restored by this program: sensu_db, short";
    assert_refused(&bench, bench.config(&target), &target, Kind::Usage, message).await;
    let message = "the target has these databases, or files of them, already: sensu_db, short";
    assert_refused(&bench, recovery(&bench, &target), &target, Kind::Usage, message).await;
}

#[tokio::test]
async fn a_rebuilt_production_is_production_again() {
    let base = temp_dir();
    let source = Influxd::options().base(base.path()).start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let (id, all) = (metastore(&source).cluster_id, points(&source, "sensu_db").await);
    source.kill();
    for folder in ["meta", "data", "wal"] {
        fs::remove_dir_all(base.path().join(folder)).unwrap();
    }
    source.restart().await;
    assert_ne!(metastore(&source).cluster_id, id);
    bench.restore_with(recovery(&bench, &source), &source).await.unwrap();
    assert_eq!((metastore(&source).cluster_id, points(&source, "sensu_db").await), (id, all));
    let config = Config { first_restore: true, ..bench.config(&source) };
    assert_refused(&bench, config, &source, Kind::Usage, "the target is the server that the backup came from").await;
}

#[tokio::test]
async fn points_that_a_recovery_lacks_are_missed_where_no_policy_may_have_removed_them() {
    let source = production().await;
    source.statement("ALTER RETENTION POLICY week ON short DURATION 168h SHARD DURATION 24h").await;
    let bench = Bench::with_night_of(&source).await;
    // The night says of every field that there was one more.
    edit(&bench, |manifest| {
        for measurement in manifest["measurements"].as_array_mut().unwrap() {
            for field in measurement["fields"].as_array_mut().unwrap() {
                field["points"] = (field["points"].as_u64().unwrap() + 1).into();
            }
        }
    })
    .await;
    let target = Influxd::start().await;
    let recovery = Config { recovery: Some(Recovery { accept_expiry: true }), ..bench.config(&target) };
    let outcome = bench.restore_with(recovery, &target).await.unwrap();
    let line = |field| format!("sensu_db.default: field {field} of cpu has 100 points, and 101 were backed up");
    assert_eq!(outcome.failures, ["idle", "load", "note", "ok"].map(line));
    let proof = outcome.proof.unwrap();
    assert_eq!((proof.missing, proof.surplus), (outcome.failures, vec![]));
    assert!(proof.points.iter().any(|count| count.database == "short"));
}

#[tokio::test]
async fn what_policies_would_remove_within_a_day_comes_back_only_when_that_is_accepted() {
    let source = production().await;
    // Ends of the groups are 1 to 10 days after the night's first instant, now is a day later: 7 of 10 stay.
    source.statement("ALTER RETENTION POLICY week ON short DURATION 168h SHARD DURATION 24h").await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let ids: Vec<String> = {
        let data = metastore(&source);
        let groups = &data.database("short").unwrap().policies[0].shard_groups;
        let soon = now().timestamp_nanos_opt().unwrap() + DAY - 7 * DAY;
        let old = groups.iter().filter(|group| group.end_time < soon);
        let mut ids: Vec<u64> = old.map(|group| group.shards[0].id).collect();
        ids.sort_unstable();
        ids.iter().map(ToString::to_string).collect()
    };
    assert!((3..=5).contains(&ids.len()), "{ids:?}");
    let message =
        format!("retention policies would remove what comes back within 24 h: shards {} of short.week", ids.join(", "));
    assert_refused(&bench, recovery(&bench, &target), &target, Kind::Usage, &message).await;
    let only = Config { databases: vec!["sensu_db".to_owned()], ..recovery(&bench, &target) };
    bench.restore_with(only, &target).await.unwrap();

    let accepted = Config {
        databases: vec!["short".to_owned()],
        recovery: Some(Recovery { accept_expiry: true }),
        ..bench.config(&target)
    };
    let outcome = bench.restore_with(accepted, &target).await.unwrap();
    let line =
        format!("shards {} of short.week may be gone, since the policy removes them within 24 h", ids.join(", "));
    assert!(outcome.differences.contains(&line), "{:?}", outcome.differences);
    assert_eq!(metastore(&target).database("short").unwrap().policies[0].duration, 7 * DAY);
    assert_eq!(points(&target, "short").await, points(&source, "short").await);
}

#[tokio::test]
async fn a_database_that_clients_made_meanwhile_and_files_of_one_are_reasons_to_refuse() {
    let source = production().await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    // Between the look at the target and its stop.
    let request =
        format!("curl -sf -XPOST {}/query --data-urlencode 'q=CREATE DATABASE short' >/dev/null", target.url());
    let write = format!("curl -sf -XPOST '{}/write?db=short' --data-binary 'm v=1'", target.url());
    let config = recovery(&bench, &target);
    let stop_command = format!("{request} && {write} && {}", config.stop_command);
    let error = bench.restore_with(Config { stop_command, ..config }, &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    assert!(error.to_string().contains("already: short; the target's old state is back, and answers"), "{error}");
    assert_eq!(count(&points(&target, "short").await), 1, "what was written stays");
    assert_clean(&target);

    // A log that survived the metastore may hold points that no backup has.
    target.statement("DROP DATABASE short").await;
    fs::create_dir_all(target.wal_dir().join("sensu_db/default/1")).unwrap();
    let message = "or files of them, already: sensu_db";
    assert_refused(&bench, recovery(&bench, &target), &target, Kind::Usage, message).await;
}

#[tokio::test]
async fn a_server_that_does_not_come_up_is_empty_again_and_one_that_came_up_keeps_all() {
    let source = production().await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let before = metastore(&target);
    let config = recovery(&bench, &target);
    let failing = once(&bench, "exit 1", &config.start_command);
    let error = bench.restore_with(Config { start_command: failing, ..config }, &target).await.unwrap_err();
    assert!(error.to_string().contains("the target's old state is back, and answers"), "{error}");
    let after = metastore(&target);
    assert_eq!((after.databases.len(), after.users.len(), after.cluster_id), (0, 0, before.cluster_id));
    assert_clean(&target);

    // A shard is damaged after it was placed: the server answers, but not for it. Then clients write.
    let config = recovery(&bench, &target);
    let shard = target.data_dir().join("sensu_db/default");
    let hidden = bench.folder.path().join("hidden");
    let hide =
        format!("mv \"$(ls -d {}/* | head -1)\" {}; {}", shard.display(), hidden.display(), config.start_command);
    let start_command = once_called(&bench, "hide", &hide, &config.start_command);
    let error = bench.restore_with(Config { start_command, ..config }, &target).await.unwrap_err();
    assert!(error.to_string().ends_with("the databases are in place, and the target answers"), "{error}");
    target.write("short", "m v=77 1465776000000000000").await;
    // The cause is mended, and the same command goes on with what is there.
    target.stop();
    let number =
        metastore(&source).database("sensu_db").unwrap().live_shards().map(|shard| shard.id).collect::<Vec<_>>();
    let missing = number.iter().map(|id| shard.join(id.to_string())).find(|path| !has_tables(path)).unwrap();
    let _ = fs::remove_dir_all(&missing);
    fs::rename(&hidden, &missing).unwrap();
    target.restart().await;
    // Nothing is fetched again: the archive has no shards meanwhile.
    let shards = bench.folder.path().join("archive").join(NIGHT).join(NIGHT).join("shards");
    for file in fs::read_dir(&shards).unwrap().map(|file| file.unwrap().path()) {
        if !file.ends_with("meta.00") {
            fs::remove_file(file).unwrap();
        }
    }
    let outcome = bench.restore_with(recovery(&bench, &target), &target).await.unwrap();
    assert_eq!(outcome.differences, ["an earlier recovery, which was cut off, had put everything in place"]);
    assert_eq!((outcome.shards, outcome.failures), (15, vec![]));
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(count(&points(&target, "short").await), 11, "with what was written since");
    assert_clean(&target);
}

fn has_tables(shard: &std::path::Path) -> bool {
    fs::read_dir(shard).is_ok_and(|files| {
        files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "tsm"))
    })
}
