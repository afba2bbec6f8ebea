//! What a restore counts, and what it makes of it.

use std::collections::BTreeMap;

use archive::names;
use archive::records::RestoreRecord;
use jobs::restore::{Config, Outcome, Prove};
use test_support::Influxd;

use crate::bench::{Bench, DAY, MIDNIGHT, NIGHT, edit, fill, forget_statistics};

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
    assert_eq!(
        proof.notes,
        [
            "sensu_db.default: points before 1677-09-22 are not counted, since InfluxDB finds them in no slice",
            "sensu_db.default: field v of edge has 1 points of 2 by InfluxDB's count: it finds those before 1677-09-22 in no slice of time"
        ]
    );
    assert_eq!(proof.compared_with.as_deref(), Some("backed up"));
    assert_eq!((&proof.missing, &proof.surplus, &outcome.failures), (&vec![], &vec![], &vec![]));
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
async fn points_that_an_earlier_restore_had_are_missed_where_nobody_looked_into_the_night() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    forget_statistics(&bench).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!((outcome.failures.len(), outcome.proof.unwrap().compared_with), (0, None));
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

#[tokio::test]
async fn what_is_counted_differs_in_nothing_from_what_was_backed_up_whatever_was_written_and_deleted() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let odd = [
        r"m\ sp\,comma,tag\ k\=x\,y=v\ a\=l\,ue f\ ld\=a\,b=1",
        r#"quote"m,t"k="v" "f"=7"#,
        r#"fq\"k,t=1 f\"q=1,count_f=2i"#,
        r"back\slash,t=a\b f\g=4",
        "m=eq,t=x f=2",
        "tab\tm,t=x f=1",
        r"cafe\,t=1 f=1",
        "unié,tü=日本 fé=\"str ü\"",
        "hashf,t=a x#!~#y=9",
        "notags f=1,g=2i,time_=3,h=true",
    ];
    source.write("sensu_db", &odd.map(|line| format!("{line} {MIDNIGHT}\n")).concat()).await;
    // A backup makes the server write its cache into files.
    Bench::with_night_of(&source).await;
    source
        .write(
            "sensu_db",
            &format!("cpu,host=h1 idle=9,load=9i,new=1 {}\ncpu,host=h4 idle=7 {}", MIDNIGHT + 1, MIDNIGHT + 2),
        )
        .await;
    Bench::with_night_of(&source).await;
    source.query("sensu_db", "DELETE FROM cpu WHERE host = 'h5'").await;
    source.query("sensu_db", &format!("DELETE FROM cpu WHERE host = 'h6' AND time < {MIDNIGHT}")).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    let outcome = bench.restore(&target).await.unwrap();
    let proof = outcome.proof.as_ref().unwrap();
    assert_eq!(outcome.failures, [""; 0]);
    // The server lists it, and answers nothing for it once its files were read anew, wherever they were.
    assert!(
        proof.notes.iter().all(|note| note.contains("of fq\"k has 0 points of 1 by InfluxDB's count")),
        "{proof:?}"
    );
    assert_eq!((proof.notes.len(), proof.compared_with.as_deref()), (2, Some("backed up")));
    assert_eq!(proof.points.len(), odd.len());
    let cpu = proof.points.iter().find(|count| count.measurement == "cpu").unwrap();
    assert_eq!((cpu.fields["idle"], cpu.fields["new"]), (56, 1));
}

#[tokio::test]
async fn a_point_more_or_less_than_was_backed_up_is_named_and_recorded() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    edit(&bench, |manifest| {
        for field in manifest["measurements"][0]["fields"].as_array_mut().unwrap() {
            let points = match field["field"].as_str().unwrap() {
                "load" => 41,
                "note" => 39,
                _ => continue,
            };
            field["points"] = points.into();
        }
    })
    .await;
    let target = Influxd::options().hostname("intermediary").start().await;
    let missing = "sensu_db.default: field load of cpu has 40 points, and 41 were backed up";
    let surplus = "sensu_db.default: field note of cpu has 40 points, and 39 came with the night";
    for _ in 0..2 {
        let outcome = bench.restore(&target).await.unwrap();
        assert_eq!(outcome.failures, [missing, surplus]);
        let name = names::restore_record(NIGHT, "intermediary");
        let record: RestoreRecord = archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document;
        let proof = record.proof.unwrap();
        assert_eq!((proof.missing, proof.surplus), (vec![missing.to_owned()], vec![surplus.to_owned()]));
        assert!(record.most.is_empty(), "the night tells itself");
    }
    // Under another name too.
    let copy = Config { new_database: Some("copy".to_owned()), ..bench.config(&target) };
    let outcome = bench.restore_with(copy, &target).await.unwrap();
    assert_eq!(outcome.failures, [missing, surplus].map(|line| line.replace("sensu_db", "copy")));
}

#[tokio::test]
async fn a_field_of_several_types_in_shards_that_overlap_is_named_as_a_conflict() {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    // A Wednesday of its own, and then the week around it, which begins earlier and so is found first.
    let wednesday = 1_464_739_200_000_000_000;
    source.write("sensu_db", &format!("mixed v=1 {wednesday}\nmixed w=1 {wednesday}")).await;
    source.statement("ALTER RETENTION POLICY \"default\" ON sensu_db SHARD DURATION 7d").await;
    let later = wednesday + 1;
    source
        .write("sensu_db", &format!("mixed v=\"a\" {}\nmixed v=\"b\" {later}\nmixed w=2 {later}", wednesday - DAY))
        .await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!(outcome.shards, 2);
    let proof = outcome.proof.as_ref().unwrap();
    assert_eq!(outcome.failures, [""; 0], "{proof:?}");
    let conflict = "sensu_db.default: field v of mixed has 2 points of 3 by InfluxDB's count: its type differs, and shards overlap (float in shards ";
    assert!(proof.notes.iter().any(|note| note.starts_with(conflict)), "{:?}", proof.notes);
    assert!(outcome.summary().contains(conflict), "{}", outcome.summary());
}
