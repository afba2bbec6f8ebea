//! Restores over the wire: what arrives, what stays, and what is refused.

use std::fs;

use influx::Influx;
use jobs::restore::{Config, Mode};
use jobs::{Kind, loaded};
use test_support::{FaultProxy, Influxd};

use crate::bench::{Bench, DAY, MIDNIGHT, NIGHT, assert_clean, fill, influx, lines, metastore, points};

/// A restore over the wire. It has no use for commands, and no directories.
pub(crate) fn online(bench: &Bench, target: &Influxd) -> Config {
    let (stop_command, start_command) = ("exit 1".to_owned(), "exit 1".to_owned());
    Config { mode: Mode::Online, stop_command, start_command, ..bench.config(target) }
}

/// Refused, with nothing changed; tells the error.
async fn assert_refused(bench: &Bench, config: Config, target: &Influxd, kind: Kind, words: &str) -> jobs::Error {
    let before = fs::read(target.meta_dir().join("meta.db")).unwrap();
    let error = bench.restore_with(config, target).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.hint_text().is_some(), "{error}");
    assert_eq!(fs::read(target.meta_dir().join("meta.db")).unwrap(), before);
    error
}

#[tokio::test]
async fn a_night_arrives_while_the_target_runs_and_the_rest_of_it_stays() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    for policy in [
        "\"a year\" ON sensu_db DURATION 52w REPLICATION 1 SHARD DURATION 52w",
        "empty ON sensu_db DURATION INF REPLICATION 1",
    ] {
        source.statement(&format!("CREATE RETENTION POLICY {policy}")).await;
    }
    let year = 1_600_000_000_000_000_000 + 6 * 365 * DAY;
    source.write_into("sensu_db", "a year", &format!("q\\ \"uo\\,te f\\ \"x=1,_y=2i {year}")).await;
    source.write("sensu_db", "edge v=1 -9223372036854775806\nedge v=2 9223372036854775806").await;
    source.statement("CREATE DATABASE \"é. b\"").await;
    source.write("é. b", &format!("only,tag=ü v=\"text\" {MIDNIGHT}")).await;
    source.statement("CREATE DATABASE nothing").await;
    source
        .statement(
            "CREATE CONTINUOUS QUERY cq ON sensu_db BEGIN SELECT mean(load) INTO m FROM cpu GROUP BY time(1h) END",
        )
        .await;
    source.statement("CREATE SUBSCRIPTION sub ON sensu_db.\"default\" DESTINATIONS ALL 'udp://127.0.0.1:9'").await;
    source.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    let bench = Bench::with_night_of(&source).await;

    let target = Influxd::options().hostname("intermediary").start().await;
    fill(&target, "other", 3).await;
    target.statement("CREATE USER own WITH PASSWORD 'o'").await;
    let (before, others) = (metastore(&target), points(&target, "other").await);
    let outcome = bench.restore_with(online(&bench, &target), &target).await.unwrap();

    assert_eq!(outcome.failures, Vec::<String>::new());
    assert_eq!(
        (outcome.host.as_str(), &outcome.databases),
        ("intermediary", &["nothing", "sensu_db", "é. b"].map(str::to_owned).to_vec())
    );
    for database in ["sensu_db", "é. b", "nothing"] {
        assert_eq!(points(&target, database).await, points(&source, database).await, "{database}");
    }
    assert_eq!(points(&target, "other").await, others);
    let (after, from) = (metastore(&target), metastore(&source));
    assert_eq!((after.cluster_id, &after.users), (before.cluster_id, &before.users));
    let (arrived, sent) = (after.database("sensu_db").unwrap(), from.database("sensu_db").unwrap());
    assert_eq!((&arrived.default_policy, &arrived.continuous_queries), (&sent.default_policy, &vec![]));
    let shape = |policies: &[influx::metastore::Policy]| -> Vec<(String, i64, usize)> {
        policies
            .iter()
            .map(|policy| (policy.name.clone(), policy.shard_group_duration, policy.shard_groups.len()))
            .collect()
    };
    assert_eq!(shape(&arrived.policies), shape(&sent.policies));
    assert!(arrived.policies.iter().all(|policy| policy.duration == 0 && policy.subscriptions.is_empty()));
    assert_eq!(
        outcome.differences,
        [
            "continuous query cq of sensu_db is left out",
            "sensu_db.a year keeps points for ever instead of 8736 hours",
            "subscription sub of sensu_db.default is left out",
            "users, with their grants, are left out: 1",
        ]
    );
    // What was written down: the record, the proof, and whose databases these are.
    let held = loaded::read(&influx(&target)).await.unwrap().unwrap();
    assert_eq!((held.container.as_str(), &held.databases), (NIGHT, &outcome.databases));
    let proof = outcome.proof.unwrap();
    assert_eq!(proof.points.iter().find(|count| count.measurement == "cpu").unwrap().fields["load"], 240);
    assert_clean(&target);
    // After a restart it is all there still.
    target.restart().await;
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn what_the_users_of_the_target_may_do_with_a_database_outlives_its_drop() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    bench.restore_with(online(&bench, &target), &target).await.unwrap();
    for (user, privilege) in [("reader", "READ"), ("wr \\\"iter", "WRITE"), ("both", "ALL"), ("nobody", "")] {
        target.statement(&format!("CREATE USER \"{user}\" WITH PASSWORD 'p'")).await;
        if !privilege.is_empty() {
            target.statement(&format!("GRANT {privilege} ON sensu_db TO \"{user}\"")).await;
        }
    }
    let before = metastore(&target).users;
    assert_eq!(before.iter().map(|user| user.privileges.len()).sum::<usize>(), 3);
    for drop_first in [false, true] {
        let config = Config { drop_first, ..online(&bench, &target) };
        let outcome = bench.restore_with(config, &target).await.unwrap();
        assert_eq!(outcome.differences, Vec::<String>::new());
        assert_eq!(metastore(&target).users, before);
    }
}

#[tokio::test]
async fn a_night_is_replaced_by_the_next_one_over_the_wire_and_by_files_in_turn() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let target = Influxd::options().set("data", "index-version", "\"tsi1\"").start().await;
    for (number, mode) in
        [Mode::Online, Mode::Online, Mode::Offline, Mode::Online, Mode::Offline].into_iter().enumerate()
    {
        source.write("sensu_db", &lines(number as i64 + 3, number as i64)).await;
        let bench = Bench::with_night_of(&source).await;
        // No flag is needed, whichever way the one before went.
        bench.restore_with(Config { mode, ..bench.config(&target) }, &target).await.unwrap();
        assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await, "{number}");
        assert!(loaded::read(&influx(&target)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_same_is_replaced_over_the_wire_as_with_the_server_stopped() {
    let source = Influxd::start().await;
    for name in ["one", "two"] {
        fill(&source, name, 2).await;
    }
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "one", 1).await;
    let all = online(&bench, &target);
    let message = "the target holds a database one which was not restored by this program";
    assert_refused(&bench, all.clone(), &target, Kind::Usage, message).await;
    let only = |name: &str| Config { databases: vec![name.to_owned()], ..all.clone() };
    bench.restore_with(Config { first_restore: true, ..only("one") }, &target).await.unwrap();
    // Once is enough, but it is for this database alone.
    bench.restore_with(only("one"), &target).await.unwrap();
    fill(&target, "two", 1).await;
    assert_refused(&bench, all.clone(), &target, Kind::Usage, "a database two which was not restored").await;
    bench.restore_with(Config { first_restore: true, ..all.clone() }, &target).await.unwrap();
    bench.restore_with(all, &target).await.unwrap();

    // A database under the name of ours that is not ours, and production itself.
    let stranger = Influxd::start().await;
    stranger.statement("CREATE DATABASE nightshard").await;
    stranger.write("nightshard", "m v=1 1").await;
    let config = Config { first_restore: true, ..online(&bench, &stranger) };
    assert_refused(&bench, config, &stranger, Kind::Usage, "a database nightshard which this program did not").await;
    let config = Config { first_restore: true, ..online(&bench, &source) };
    assert_refused(&bench, config, &source, Kind::Usage, "the cluster id of the backup's source").await;
}

#[tokio::test]
async fn deleted_points_do_not_come_back() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    Bench::with_night_of(&source).await;
    source.query("sensu_db", "DELETE FROM cpu WHERE host = 'h3'").await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let words = "of sensu_db.default has deleted points, which would come back";
    let error = assert_refused(&bench, online(&bench, &target), &target, Kind::Usage, words).await;
    assert!(error.hint_text().unwrap().contains("--mode offline"), "{error:?}");
    bench.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn what_is_no_intermediary_with_both_ports_is_refused() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let (target, other) = (Influxd::start().await, Influxd::start().await);
    let at =
        |url: String, snapshot: String| Influx::new(influx::Settings::new(url.parse().unwrap(), snapshot)).unwrap();
    let nobody = "127.0.0.1:1".to_owned();
    let proxy = FaultProxy::start(target.http_address()).await;
    let table = [
        (at(target.url(), nobody.clone()), "cannot read the metastore at", "bind-address"),
        (at(format!("http://{nobody}"), target.snapshot_address()), "cannot ping InfluxDB at", "is influxd running"),
        (at(target.url(), proxy.address()), "the metastore begins with", ""),
    ];
    for (client, message, hint) in table {
        let error = bench.restore_by(online(&bench, &target), client).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint_text().unwrap_or_default().contains(hint), "{error:?}");
    }
    // Two servers that cannot be told apart by what they have.
    let client = at(target.url(), other.snapshot_address());
    let error = bench.restore_by(online(&bench, &target), client).await.unwrap_err();
    assert!(error.to_string().contains("are not one server"), "{error}");
    assert!(error.hint_text().unwrap().contains("--target-snapshot-addr"), "{error:?}");
    assert_eq!(metastore(&other).databases, vec![]);
    other.statement("CREATE DATABASE more").await;
    let client = at(target.url(), other.snapshot_address());
    let error = bench.restore_by(online(&bench, &target), client).await.unwrap_err();
    assert!(error.to_string().contains("only the second: more"), "{error}");
    let recovery = jobs::restore::Recovery { accept_expiry: false };
    let config = Config { recovery: Some(recovery), ..online(&bench, &target) };
    let error = assert_refused(&bench, config, &target, Kind::Usage, "cannot be made over the wire").await;
    assert!(error.hint_text().unwrap().contains("--mode offline"), "{error:?}");
    assert_eq!(metastore(&target).database("sensu_db"), None);
}
