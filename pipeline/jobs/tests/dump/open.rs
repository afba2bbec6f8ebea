//! Open dumps, completed from the night after; and nothing lost by it, wherever a run is cut off.

use std::sync::Arc;

use archive::Date;
use bytes::Bytes;
use jobs::Kind;
use jobs::dump::{Config, Outcome};
use store::StoreExt;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND, now, records};
use crate::writes::Writes;

const NEXT: &str = "2016-06-12";
const FILE: &str = "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
const MINUTE: i64 = 60 * SECOND;

fn object() -> String {
    format!("{NIGHT}/influxdb/{FILE}")
}

fn of(bench: &Bench, night: &str, measurements: &[&str]) -> Config {
    let mut config = bench.config(measurements);
    config.date = Date::Day(night.parse().unwrap()).into();
    config
}

/// A record of `m` as the dump has it, at a minute of the day.
fn record(minute: i64, host: &str, value: i64) -> String {
    let time = chrono::DateTime::from_timestamp_nanos(MIDNIGHT + minute * MINUTE).format("%Y-%m-%dT%H:%M:%SZ");
    format!("{{\"time\":\"{time}\",\"host\":\"{host}\",\"v\":{value}}}")
}

fn line(minute: i64, host: &str, value: i64) -> String {
    format!("m,host={host} v={value}i {}\n", MIDNIGHT + minute * MINUTE)
}

/// An open dump of the night; then the next one with a record of the night's last minute, and one of its own.
async fn bench() -> Bench {
    let lines = line(0, "a", 1) + &line(0, "b", 2) + &line(600, "a", 3);
    let bench = Bench::with(&lines).await;
    assert!(bench.dump(bench.config(&["m"])).await.unwrap().dumps[0].open);
    bench.influxd.write("sensu_db", &(line(1439, "a", 4) + &line(1440 + 5, "a", 5))).await;
    bench.load(NEXT).await;
    bench
}

fn whole() -> Vec<String> {
    vec![record(0, "a", 1), record(0, "b", 2), record(600, "a", 3), record(1439, "a", 4)]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_night_completes_an_open_dump_once() {
    let bench = bench().await;
    let outcome = bench.dump(of(&bench, NEXT, &["m"])).await.unwrap();
    assert!(outcome.failures().is_empty(), "{:?}", outcome.failures());
    let [completed] = outcome.completed.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((completed.records, completed.open, completed.kept), (4, false, 0));
    assert!(outcome.summary().contains("completed 2016-06-11, which has 4 records now"), "{}", outcome.summary());
    assert_eq!(records(&bench.text(&object()).await), whole());
    let seal = bench.seal_of(NIGHT, FILE).await;
    assert_eq!((seal.covered_until.as_str(), seal.open), ("2016-06-12T23:55:02Z", false));
    assert_eq!((seal.night.as_str(), seal.tags.as_slice()), (NIGHT, &["host".to_owned()][..]));
    assert_eq!(bench.objects(NIGHT).await.len(), 2);
    assert!(bench.dump(of(&bench, NEXT, &["m"])).await.unwrap().completed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_without_records_is_completed_too() {
    let bench = Bench::with(&line(-1, "a", 1)).await;
    assert_eq!(bench.dump(bench.config(&["m"])).await.unwrap().dumps[0].records, 0);
    bench.influxd.write("sensu_db", &line(1439, "a", 4)).await;
    bench.load(NEXT).await;
    let outcome = bench.dump(of(&bench, NEXT, &["m"])).await.unwrap();
    assert_eq!(outcome.completed[0].records, 1);
    assert_eq!(records(&bench.text(&object()).await), [record(1439, "a", 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_server_has_lost_are_kept_in_their_order_and_told() {
    let bench = bench().await;
    bench.influxd.query("sensu_db", "DELETE FROM m WHERE host = 'a' AND time < '2016-06-11T12:00:00Z'").await;
    // A point that was written again has its new values, and is no second record.
    bench.influxd.write("sensu_db", &(line(0, "b", 7) + &line(0, "c", 8))).await;
    let outcome = bench.dump(of(&bench, NEXT, &["m"])).await.unwrap();
    let expected = [record(0, "a", 1), record(0, "b", 7), record(0, "c", 8), record(600, "a", 3), record(1439, "a", 4)];
    assert_eq!(records(&bench.text(&object()).await), expected);
    let [failure] = outcome.failures() else { panic!("{outcome:?}") };
    assert!(failure.contains("m of sensu_db.autogen on 2016-06-11") && failure.contains("took 2 records"), "{failure}");
    let seal = bench.seal_of(NIGHT, FILE).await;
    assert_eq!((seal.kept, seal.open), (2, false));
    assert!(seal.warnings.iter().any(|warning| warning.contains("took 2 records")), "{:?}", seal.warnings);
    // Nor are they lost when the same day is asked for again; and they are told once.
    let again = bench.dump(bench.config(&["m"])).await.unwrap();
    assert_eq!(records(&bench.text(&object()).await), expected);
    assert!(again.failures().is_empty(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_records_are_kept_when_the_measurement_or_its_policy_is_gone() {
    for gone in ["DROP MEASUREMENT m", "DROP RETENTION POLICY autogen ON sensu_db"] {
        let bench = bench().await;
        bench.influxd.statement("CREATE RETENTION POLICY other ON sensu_db DURATION INF REPLICATION 1 DEFAULT").await;
        bench.influxd.write("sensu_db", &line(1440, "a", 1).replace("m,", "n,")).await;
        bench.influxd.query("sensu_db", gone).await;
        let outcome = bench.dump(of(&bench, NEXT, &["n"])).await.unwrap();
        assert!(outcome.failures()[0].contains("took 3 records"), "{gone}: {outcome:?}");
        assert_eq!(records(&bench.text(&object()).await), whole()[..3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_and_values_are_neither_doubled_nor_lost() {
    // A tag and a field of one name, bytes that are no UTF-8, braces and quotes, series without tags.
    let mut lines =
        b"c,host=tag host=\"field\",x=1 T\nc host=\"tag\",x=2 T\nc,host=\xff x=3 T\nc,o=1 x=4,s=\"}],[{\\\"\" T\n"
            .to_vec();
    lines.extend(b"c,t\\,\\ =\\=v x=5 T\n");
    let mut text = Vec::new();
    for byte in lines {
        if byte == b'T' { text.extend(MIDNIGHT.to_string().bytes()) } else { text.push(byte) }
    }
    let bench = Bench::start().await;
    crate::bench::post(&bench.influxd.http_address(), "/write?db=sensu_db", &text);
    bench.load(NIGHT).await;
    let mut before = bench.records("c").await;
    bench.load(NEXT).await;
    let outcome = bench.dump(of(&bench, NEXT, &["c"])).await.unwrap();
    assert_eq!((outcome.completed.len(), outcome.failures()), (1, &[][..]));
    let mut after = records(&bench.text(&object().replace("/m_", "/c_")).await);
    before.sort();
    after.sort();
    assert_eq!((before.len(), after), (5, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_anywhere_is_completed_by_the_next_one() {
    let (seal, record) =
        (format!("{NIGHT}/manifests/dump.{FILE}.json"), format!("{NIGHT}/manifests/replacing.{FILE}.json"));
    for cut in [&record, &object(), &seal] {
        let bench = bench().await;
        bench.influxd.query("sensu_db", "DELETE FROM m WHERE host = 'a' AND time < '2016-06-11T12:00:00Z'").await;
        let writes = Writes::new(&bench.store);
        let run = || async {
            let store = Arc::<Writes>::clone(&writes);
            jobs::dump::run(of(&bench, NEXT, &["m"]), now(), Some(store), bench.reading(), Arc::new(())).await.unwrap()
        };
        *writes.refuse.lock().unwrap() = Some(cut.clone());
        let outcome: Outcome = run().await;
        assert!(outcome.completed.is_empty() && outcome.failures()[0].contains("cannot complete"), "{outcome:?}");
        *writes.refuse.lock().unwrap() = None;
        writes.seen.lock().unwrap().clear();
        run().await;
        assert_eq!(records(&bench.text(&object()).await), whole(), "cut at {cut}");
        assert_eq!(bench.seal_of(NIGHT, FILE).await.kept, 2);
        assert_eq!(bench.objects(NIGHT).await, [object(), seal.clone()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_goes_after_its_replacement_is_recorded_and_before_the_object_is_replaced() {
    let bench = bench().await;
    let writes = Writes::new(&bench.store);
    let store = Arc::<Writes>::clone(&writes);
    jobs::dump::run(of(&bench, NEXT, &["m"]), now(), Some(store), bench.reading(), Arc::new(())).await.unwrap();
    let seen = writes.seen.lock().unwrap().clone();
    let (seal, record) = (format!("manifests/dump.{FILE}.json"), format!("manifests/replacing.{FILE}.json"));
    let expected = [
        format!("put {NIGHT}/{record}"),
        format!("delete {NIGHT}/{seal}"),
        format!("put {}", object()),
        format!("put {NIGHT}/{seal}"),
        format!("delete {NIGHT}/{record}"),
    ];
    assert_eq!(seen[seen.len() - 5..], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_dump_that_is_damaged_is_named_and_not_replaced() {
    let bench = bench().await;
    bench.store.put_bytes(NIGHT, &object(), Bytes::from_static(b"[]\n")).await.unwrap();
    let outcome = bench.dump(of(&bench, NEXT, &["m"])).await.unwrap();
    assert_eq!((outcome.dumps.len(), outcome.completed.len()), (1, 0));
    assert!(outcome.failures()[0].contains("is damaged: its SHA-256 is"), "{outcome:?}");
    assert_eq!(bench.store.get_bytes(NIGHT, &object(), 100).await.unwrap(), "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dump_of_another_source_is_not_completed() {
    let bench = bench().await;
    let name = format!("{NIGHT}/manifests/backup.json");
    let backup = bench.store.get_bytes(NIGHT, &name, u64::MAX).await.unwrap();
    let other = String::from_utf8(backup.to_vec()).unwrap().replace("\"cluster_id\": \"7\"", "\"cluster_id\": \"8\"");
    bench.store.put_bytes(NIGHT, &name, Bytes::from(other)).await.unwrap();
    assert!(bench.dump(of(&bench, NEXT, &["m"])).await.unwrap().completed.is_empty());
    assert_eq!(records(&bench.text(&object()).await), whole()[..3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_a_backup_is_dumped_from_a_later_night_and_a_completed_one_stays() {
    let bench = bench().await;
    bench.load("2016-06-13").await;
    let outcome = bench.dump(of(&bench, NEXT, &["m"])).await.unwrap();
    assert_eq!((outcome.dumps[0].records, outcome.dumps[0].open), (1, false));
    assert!(outcome.summary().contains("read from the night 2016-06-13"), "{}", outcome.summary());
    assert_eq!(outcome.completed.len(), 1);

    // Back to the earlier night: its own dump would hold less than the one that is there.
    let sha256 = bench.seal(NIGHT, &["sensu_db"]).await;
    bench.influxd.statement("DROP DATABASE nightshard").await;
    bench.record(NIGHT, &sha256).await;
    let outcome = bench.dump(bench.config(&["m"])).await.unwrap();
    assert!(outcome.summary().contains("from a later night already"), "{}", outcome.summary());
    assert_eq!(records(&bench.text(&object()).await), whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_take_turns_at_a_measurement() {
    let bench = bench().await;
    let config = of(&bench, NEXT, &["m"]);
    let name = format!("dump-sensu_db-autogen-m-{}", bench.store.location());
    let other = jobs::Lock::exclusive(&config.place.locks, &name).unwrap();
    assert_eq!(bench.dump(config.clone()).await.unwrap_err().kind(), Kind::Locked);
    drop(other);
    bench.dump(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seal_stands_over_what_another_run_has_put_there_meanwhile() {
    let bench = Bench::with(&line(0, "a", 1)).await;
    let writes = Writes::new(&bench.store);
    let seal = format!("{NIGHT}/manifests/dump.{FILE}.json");
    // Before the seal comes, and after that.
    for at in [object(), seal.clone()] {
        *writes.other_at.lock().unwrap() = Some((at, vec![(object(), Bytes::from_static(b"[]\n"))]));
        let store = Arc::<Writes>::clone(&writes);
        let run = jobs::dump::run(bench.config(&["m"]), now(), Some(store), bench.reading(), Arc::new(()));
        let error = run.await.unwrap_err();
        assert!(error.to_string().contains("was replaced meanwhile by another run"), "{error}");
        assert!(error.hint_text().unwrap().contains("run the same command again"), "{error:?}");
        assert_eq!(bench.objects(NIGHT).await, [object()]);
    }
    bench.dump(bench.config(&["m"])).await.unwrap();
    assert_eq!(records(&bench.text(&object()).await), [record(0, "a", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seal_of_a_run_that_has_come_to_its_end_meanwhile_stays() {
    let bench = Bench::with(&line(0, "a", 1)).await;
    let seal = format!("{NIGHT}/manifests/dump.{FILE}.json");
    // Another machine pages otherwise, so that its object and its seal are others.
    let other = Config { page_size: 7, ..bench.config(&["m"]) };
    bench.influxd.write("sensu_db", &line(1, "a", 2)).await;
    bench.dump(other).await.unwrap();
    let mut theirs = Vec::new();
    for name in [object(), seal.clone()] {
        theirs.push((name.clone(), bench.store.get_bytes(NIGHT, &name, 1 << 20).await.unwrap()));
    }
    bench.influxd.write("sensu_db", &line(2, "a", 3)).await;
    let writes = Writes::new(&bench.store);
    for at in [object(), seal] {
        *writes.other_at.lock().unwrap() = Some((at, theirs.clone()));
        let store = Arc::<Writes>::clone(&writes);
        let run = jobs::dump::run(bench.config(&["m"]), now(), Some(store), bench.reading(), Arc::new(()));
        let error = run.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        for (name, bytes) in &theirs {
            assert_eq!(bench.store.get_bytes(NIGHT, name, 1 << 20).await.unwrap(), bytes, "{name}: {error}");
        }
    }
}
