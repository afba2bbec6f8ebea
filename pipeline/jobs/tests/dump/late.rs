//! Measurements that first appear after the backup of their day: no dump of that day knows of them, and no record of theirs
//! is left behind.

use archive::Date;
use archive::records::DumpSelection;
use jobs::dump::Config;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND, records};

const NEXT: &str = "2016-06-12";
const DAY: &str = "2016-06-11-00:00:00_2016-06-12-00:00:00";
const MINUTE: i64 = 60 * SECOND;

fn of(bench: &Bench, night: &str, measurements: &[&str]) -> Config {
    let mut config = bench.config(measurements);
    config.date = Date::Day(night.parse().unwrap()).into();
    config
}

fn line(measurement: &str, minute: i64) -> String {
    format!("{measurement},host=a v={minute}i {}\n", MIDNIGHT + minute * MINUTE)
}

/// A night with `cpu`. What comes in the day's last minutes and on the next day, when that is loaded.
async fn bench() -> Bench {
    Bench::with(&line("cpu", 0)).await
}

async fn the_next_night(bench: &Bench) {
    let late = [line("cpu", 1439), line("cpu_late", 1438), line("mem", 1439), line("cpu_new", 1441)];
    bench.influxd.write("sensu_db", &late.concat()).await;
    bench.load(NEXT).await;
}

/// Name and records of all dumps of the first day.
async fn dumps(bench: &Bench) -> Vec<(String, usize)> {
    let mut dumps = Vec::new();
    for name in bench.objects(NIGHT).await {
        if let Some(file) = name.strip_prefix("2016-06-11/influxdb/") {
            let text = bench.store_text(&name).await;
            dumps.push((file.split("_2016-06-11-").next().unwrap().to_owned(), text.matches("\"time\"").count()));
        }
    }
    dumps
}

async fn selections(bench: &Bench) -> Vec<DumpSelection> {
    let mut selections = Vec::new();
    for name in bench.objects(NIGHT).await.iter().filter(|name| name.contains("/selection.")) {
        selections.push(archive::read(bench.store.as_ref(), NIGHT, name).await.unwrap().document);
    }
    selections
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everything_or_a_pattern_would_have_dumped_is_dumped_from_the_next_night() {
    let table = [
        (&["*"][..], &[("cpu", 2), ("cpu_late", 1), ("mem", 1)][..]),
        (&["cpu*"], &[("cpu", 2), ("cpu_late", 1)]),
        // Names of measurements that were not there yet; the run said so.
        (&["cpu", "mem"], &[("cpu", 2), ("mem", 1)]),
        // One name is one dump, which is completed.
        (&["cpu"], &[("cpu", 2)]),
    ];
    for (asked, expected) in table {
        let bench = bench().await;
        let outcome = bench.dump(of(&bench, NIGHT, asked)).await.unwrap();
        assert_eq!(outcome.failures().is_empty(), asked != ["cpu", "mem"], "{outcome:?}");
        the_next_night(&bench).await;
        let outcome = bench.dump(of(&bench, NEXT, &["cpu"])).await.unwrap();
        assert!(outcome.failures().is_empty(), "{outcome:?}");
        let expected: Vec<(String, usize)> = expected.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(dumps(&bench).await, expected, "{asked:?}");
        assert_eq!(outcome.completed.len(), expected.len(), "{outcome:?}");

        // They are dumps like others, whole by now; and the day is not looked through again.
        if asked == ["*"] {
            let file = format!("cpu_late_{DAY}.json");
            let seal = bench.seal_of(NIGHT, &file).await;
            assert_eq!((seal.records, seal.open, seal.night.as_str()), (1, false, NIGHT));
            let text = bench.text(&format!("{NIGHT}/influxdb/{file}")).await;
            assert_eq!(records(&text), [r#"{"time":"2016-06-11T23:58:00Z","host":"a","v":1438}"#]);
            assert!(outcome.summary().contains("cpu_late: completed 2016-06-11, which has 1 records"), "{outcome:?}");
        }
        assert!(selections(&bench).await.iter().all(|selection| !selection.open));
        assert!(bench.dump(of(&bench, NEXT, &["cpu"])).await.unwrap().completed.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn such_dumps_are_made_as_those_of_their_day_were() {
    let bench = bench().await;
    let mut config = of(&bench, NIGHT, &["*"]);
    (config.format, config.name) = (jobs::dump::Format::Csv, "{database}.{measurement}".parse().unwrap());
    for _ in 0..2 {
        bench.dump(config.clone()).await.unwrap();
    }
    assert_eq!(selections(&bench).await.len(), 1, "who asks twice leaves one word");
    the_next_night(&bench).await;
    bench.dump(of(&bench, NEXT, &["cpu"])).await.unwrap();
    let text = bench.store_text(&format!("{NIGHT}/influxdb/sensu_db.cpu_late_{DAY}.csv")).await;
    assert_eq!(text, "time,host,v\r\n2016-06-11T23:58:00Z,a,1438\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_empty_until_its_last_minutes_is_dumped_too() {
    let bench = Bench::start().await;
    bench.load(NIGHT).await;
    let outcome = bench.dump(of(&bench, NIGHT, &["*"])).await.unwrap();
    assert!(outcome.dumps.is_empty() && outcome.failures().is_empty(), "{outcome:?}");
    assert!(outcome.summary().starts_with("no measurements on 2016-06-11\n"), "{}", outcome.summary());
    the_next_night(&bench).await;
    bench.dump(of(&bench, NEXT, &["*"])).await.unwrap();
    assert_eq!(dumps(&bench).await, [("cpu".to_owned(), 1), ("cpu_late".to_owned(), 1), ("mem".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_made_is_named_and_tried_again() {
    let bench = bench().await;
    bench.dump(of(&bench, NIGHT, &["*"])).await.unwrap();
    the_next_night(&bench).await;
    // Another run is at it.
    let config = of(&bench, NEXT, &["cpu"]);
    let name = format!("dump-sensu_db-autogen-mem-{}", bench.store.location());
    let other = jobs::Lock::exclusive(&config.place.locks, &name).unwrap();
    assert_eq!(bench.dump(config.clone()).await.unwrap().completed.len(), 2);
    assert!(selections(&bench).await[0].open);
    drop(other);
    let outcome = bench.dump(config.clone()).await.unwrap();
    assert_eq!((outcome.completed[0].measurement.as_str(), outcome.completed.len()), ("mem", 1));

    // A record that cannot be read is said.
    let name = bench.objects(NIGHT).await.into_iter().find(|name| name.contains("/selection.")).unwrap();
    store::StoreExt::put_bytes(bench.store.as_ref(), NIGHT, &name, bytes::Bytes::from_static(b"{")).await.unwrap();
    let outcome = bench.dump(config).await.unwrap();
    assert!(outcome.failures()[0].contains(&name), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_was_over_needs_no_word() {
    let bench = bench().await;
    bench.load(NEXT).await;
    let outcome = bench.dump(of(&bench, NIGHT, &["*"])).await.unwrap();
    assert!(!outcome.dumps[0].open);
    assert!(selections(&bench).await.is_empty());
}
