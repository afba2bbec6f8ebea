//! Nights of many shards and of a large metastore, both ways.

use std::fmt::Write as _;

use influx::metastore::{Data, Database, Policy};
use jobs::restore::{Config, Mode};
use test_support::Influxd;

use crate::bench::{Bench, MIDNIGHT, count, influx, metastore, points};

const HOUR: i64 = 3_600_000_000_000;

/// A database as a metastore has it, with so many policies whose names end in a number.
fn database(name: &str, policies: usize, length: usize) -> Database {
    let policies = (0..policies).map(|number| Policy {
        name: format!("{number:0>length$}"),
        shard_group_duration: HOUR,
        replica_n: 1,
        ..Policy::default()
    });
    let policies: Vec<Policy> = policies.collect();
    Database { name: name.to_owned(), default_policy: policies[0].name.clone(), policies, ..Database::default() }
}

/// Has the server make it; as many statements would take it much longer.
async fn make(influxd: &Influxd, database: Database) {
    let name = database.name.clone();
    let metastore = Data { databases: vec![database], ..Data::default() };
    for time in 0..3 {
        // A refusal may be a reset.
        let _ = influx(influxd).snapshot().import(&metastore, &name, time).await;
        if influx(influxd).snapshot().metastore().await.unwrap().data.database(&name).is_some() {
            return;
        }
    }
    panic!("{name} is not there");
}

#[tokio::test]
async fn a_thousand_shards_of_twenty_policies_and_half_a_megabyte_of_metastore_arrive_both_ways() {
    let source = Influxd::start().await;
    make(&source, database("many", 20, 2)).await;
    for policy in 0..20 {
        let mut lines = String::new();
        for hour in 0..50 {
            writeln!(lines, "m,policy=p{policy} v={hour}i {}", MIDNIGHT - hour * HOUR).unwrap();
        }
        source.write_into("many", &format!("{policy:02}"), &lines).await;
    }
    // Last, since the server writes its whole metastore anew for each shard that it makes.
    make(&source, database("wide", 2200, 230)).await;
    source.write_into("wide", &format!("{:0>230}", 2199), &format!("m v=1 {MIDNIGHT}")).await;
    let bench = Bench::with_night_of(&source).await;
    let stored = metastore(&source);
    assert!(stored.to_meta_db().len() > 500_000);
    let all = points(&source, "many").await;
    assert_eq!(count(&all), 1000);
    for mode in [Mode::Offline, Mode::Online] {
        let target = Influxd::start().await;
        let outcome = bench.restore_with(Config { mode, ..bench.config(&target) }, &target).await.unwrap();
        assert_eq!(outcome.shards, 1001, "{mode:?}");
        assert_eq!(points(&target, "many").await, all, "{mode:?}");
        let restored = metastore(&target);
        let names = |data: &Data| -> Vec<String> {
            data.database("wide").unwrap().policies.iter().map(|policy| policy.name.clone()).collect()
        };
        assert_eq!(names(&restored), names(&stored), "{mode:?}");
        assert_eq!(target.rows("wide", &format!("SELECT v FROM \"{:0>230}\".m", 2199)).await.len(), 1, "{mode:?}");
    }
}
