//! What a restore counts, and what it makes of it.

use std::collections::BTreeMap;

use archive::names;
use archive::records::RestoreRecord;
use jobs::restore::{Config, Outcome, Prove};
use test_support::Influxd;

use crate::bench::{Bench, DAY, MIDNIGHT, NIGHT, fill};

/// What was counted, as `database.policy measurement field: points`.
fn counted(outcome: &Outcome) -> Vec<String> {
    let proof = outcome.proof.as_ref().unwrap();
    let line = |count: &archive::records::PointCount| {
        let from = format!("{}.{} {}", count.database, count.retention_policy, count.measurement);
        count.fields.iter().map(move |(field, points)| format!("{from} {field}: {points}")).collect::<Vec<_>>()
    };
    proof.points.iter().flat_map(line).collect()
}

#[tokio::test]
async fn every_point_of_every_field_is_counted_and_stands_in_the_record() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    source
        .statement("CREATE RETENTION POLICY \"a year\" ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 52w")
        .await;
    // A field that changes its type from one shard to the next, quotes, and a measurement of another policy.
    source.write("sensu_db", &format!("mixed v=1 {MIDNIGHT}\nmixed v=\"two\" {}", MIDNIGHT - 2 * DAY)).await;
    let strange = "q\\ \"uo\\,te f\\ \"x=1,count_y=2i";
    source.write_into("sensu_db", "a year", &format!("{strange} {MIDNIGHT}\n{strange} {}", MIDNIGHT - 100 * DAY)).await;
    source.write("sensu_db", "edge v=1 -9223372036854775806\nedge v=2 9223372036854775806").await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;

    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!(
        counted(&outcome),
        [
            "sensu_db.a year q \"uo,te count_y: 2",
            "sensu_db.a year q \"uo,te f \"x: 2",
            "sensu_db.default cpu idle: 240",
            "sensu_db.default cpu load: 240",
            "sensu_db.default cpu note: 240",
            "sensu_db.default cpu ok: 240",
            "sensu_db.default edge v: 1",
            "sensu_db.default mixed v: 2",
        ]
    );
    let proof = outcome.proof.clone().unwrap();
    let note = "sensu_db.default: points before 1677-09-22 are not counted, since InfluxDB finds them in no slice";
    assert_eq!(proof.notes, [note]);
    let name = names::restore_record(NIGHT, "intermediary");
    let record: RestoreRecord = archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document;
    assert_eq!(record.proof, Some(proof));
    let summary = outcome.summary();
    assert!(summary.contains("\n  sensu_db.default cpu: idle 240, load 240, note 240, ok 240\n"), "{summary}");
    assert!(outcome.seconds_until_proven <= outcome.seconds - outcome.seconds_counting, "{outcome:?}");
}

#[tokio::test]
async fn a_sample_counts_less_and_none_nothing() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let outcome = bench.restore_with(Config { prove: Prove::Sample, ..bench.config(&target) }, &target).await.unwrap();
    let idle: BTreeMap<_, _> = outcome.proof.as_ref().unwrap().points[0].fields.clone();
    assert_eq!(
        (idle["idle"], outcome.proof.as_ref().unwrap().requests),
        (40, 2),
        "the newest day and the tenth before"
    );
    assert!(outcome.summary().contains("counted in a sample"), "{}", outcome.summary());
    let outcome = bench.restore_with(Config { prove: Prove::None, ..bench.config(&target) }, &target).await.unwrap();
    assert_eq!(outcome.proof, None);
}

#[tokio::test]
async fn points_that_an_earlier_restore_of_the_night_had_are_missed() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    assert_eq!(bench.restore(&target).await.unwrap().failures, Vec::<String>::new());
    assert_eq!(bench.restore(&target).await.unwrap().failures, Vec::<String>::new());

    // The record of the night says that there was one more.
    let name = names::restore_record(NIGHT, "intermediary");
    let mut record: RestoreRecord = archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document;
    *record.proof.as_mut().unwrap().points[0].fields.get_mut("load").unwrap() += 1;
    archive::replace(bench.store.as_ref(), NIGHT, &name, &record).await.unwrap();
    let line = "sensu_db.default: field load of cpu has 40 points, and had 41 in an earlier restore of the same night";
    // Not once, but until they are back: neither a count that finds less nor a restore without one is the new measure.
    for prove in [Prove::All, Prove::All, Prove::None, Prove::Sample, Prove::All] {
        let outcome = bench.restore_with(Config { prove, ..bench.config(&target) }, &target).await.unwrap();
        let expected: &[&str] = if prove == Prove::All { &[line] } else { &[] };
        assert_eq!(outcome.failures, expected, "{prove:?}");
    }
    let record: RestoreRecord = archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document;
    assert_eq!((record.proof.unwrap().points[0].fields["load"], record.most[0].fields["load"]), (40, 41));
}
