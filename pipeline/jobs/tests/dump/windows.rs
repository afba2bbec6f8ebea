//! Days, file names, and what is said of a day that is not over.

use std::fmt::Write as _;

use jobs::Kind;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND, now, records};

/// A point each 15 minutes for three days around noon of a day, each holding its own time.
fn quarters(noon: &str) -> String {
    let noon = noon.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_nanos_opt().unwrap();
    let mut lines = String::new();
    for quarter in -200..200_i64 {
        let time = noon + quarter * 900 * SECOND;
        // The last instant before each quarter must fall on the other side of an edge.
        writeln!(lines, "m,edge=at v={time}i {time}\nm,edge=before v={}i {}", time - 1, time - 1).unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_the_hours_that_its_time_zone_gives_it() {
    let table = "
        # zone            | day        | file                                    | first record         | last record                    | quarters
        UTC               | 2016-06-11 | 2016-06-11-00:00:00_2016-06-12-00:00:00 | 2016-06-11T00:00:00Z | 2016-06-11T23:59:59.999999999Z | 96
        Europe/Berlin     | 2016-03-27 | 2016-03-27-00:00:00_2016-03-28-00:00:00 | 2016-03-26T23:00:00Z | 2016-03-27T21:59:59.999999999Z | 92
        Europe/Berlin     | 2016-10-30 | 2016-10-30-00:00:00_2016-10-31-00:00:00 | 2016-10-29T22:00:00Z | 2016-10-30T22:59:59.999999999Z | 100
        # clocks skipped midnight: the day began at 01:00
        America/Sao_Paulo | 2018-11-04 | 2018-11-04-01:00:00_2018-11-05-00:00:00 | 2018-11-04T03:00:00Z | 2018-11-05T01:59:59.999999999Z | 92
        Africa/Cairo      | 2014-05-16 | 2014-05-16-01:00:00_2014-05-17-00:00:00 | 2014-05-15T22:00:00Z | 2014-05-16T20:59:59.999999999Z | 92
        # the next day was skipped altogether
        Pacific/Apia      | 2011-12-29 | 2011-12-29-00:00:00_2011-12-31-00:00:00 | 2011-12-29T10:00:00Z | 2011-12-30T09:59:59.999999999Z | 96
        Asia/Kathmandu    | 2016-06-11 | 2016-06-11-00:00:00_2016-06-12-00:00:00 | 2016-06-10T18:15:00Z | 2016-06-11T18:14:59.999999999Z | 96
        Pacific/Chatham   | 2016-04-03 | 2016-04-03-00:00:00_2016-04-04-00:00:00 | 2016-04-02T10:15:00Z | 2016-04-03T11:14:59.999999999Z | 100";
    let mut bench = Bench::start().await;
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [zone, day, times, first, last, quarters_of_an_hour] = cells[..] else { panic!("{row}") };
        bench.time_zone = zone.parse().unwrap();
        bench.influxd.statement("DROP DATABASE sensu_db").await;
        bench.influxd.statement("CREATE DATABASE sensu_db").await;
        bench.influxd.write("sensu_db", &quarters(&format!("{day}T12:00:00Z"))).await;
        bench.load(day).await;
        let mut config = bench.config(&["m"]);
        config.date = archive::Date::Day(day.parse().unwrap()).into();
        let outcome = bench.dump(config).await.unwrap();
        let object = outcome.dumps[0].object.clone().unwrap();
        assert_eq!(object, format!("{day}/influxdb/m_{times}.json"));
        let records = records(&bench.text(&object).await);
        assert_eq!(records.len(), 2 * quarters_of_an_hour.parse::<usize>().unwrap(), "{row}");
        assert!(records[0].starts_with(&format!("{{\"time\":\"{first}\"")), "{day}: {}", records[0]);
        assert!(records.last().unwrap().starts_with(&format!("{{\"time\":\"{last}\"")), "{day}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seal_says_what_was_dumped_and_until_when_it_was_covered() {
    let bench = Bench::with(&format!("été/1%,host=a v=1 {MIDNIGHT}\n")).await;
    let outcome = bench.dump(bench.config(&["été/1%"])).await.unwrap();
    let file = "été%2F1%25_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    let seal = bench.seal_of(NIGHT, file).await;
    let text = bench.text(&format!("{NIGHT}/influxdb/{file}")).await;
    assert_eq!(text, "[{\"time\":\"2016-06-11T00:00:00Z\",\"host\":\"a\",\"v\":1.0}]\n");
    assert_eq!(seal.format, "nightshard-dump/1");
    assert_eq!(
        (seal.measurement.as_str(), seal.database.as_str(), seal.retention_policy.as_str()),
        ("été/1%", "sensu_db", "autogen")
    );
    assert_eq!((seal.night.as_str(), seal.time_zone.as_str(), seal.encoding.as_str()), (NIGHT, "UTC", "json"));
    assert_eq!(
        (seal.window_start.as_str(), seal.window_end.as_str()),
        ("2016-06-11T00:00:00Z", "2016-06-12T00:00:00Z")
    );
    assert_eq!((seal.records, seal.pages, seal.page_size), (1, 1, 1000));
    // The backup took its shard five minutes before the day ended.
    assert_eq!((seal.covered_until.as_str(), seal.open), ("2016-06-11T23:55:02Z", true));
    assert_eq!(seal.backup_manifest_sha256.as_deref(), Some(bench.seal(NIGHT, &["sensu_db"]).await.as_str()));
    assert_eq!(seal.started, "2016-06-12T00:30:00Z");
    assert!(seal.warnings.is_empty(), "{:?}", seal.warnings);
    assert!(outcome.summary().contains("written until 2016-06-11 23:55:02 UTC"), "{}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_file_names_are_encoded() {
    let bench = Bench::start().await;
    let table = [
        ("a/b", "a/b", "a%2Fb"),
        ("a%2Fb", "a%2Fb", "a%252Fb"),
        ("..", "..", "%2E."),
        ("two\\ words\\,\\ comma", "two words, comma", "two words, comma"),
        ("\"back\\slash\"", "\"back\\slash\"", "\"back%5Cslash\""),
        ("夜", "夜", "夜"),
    ];
    let mut lines = String::new();
    for (number, (escaped, _, _)) in table.into_iter().enumerate() {
        writeln!(lines, "{escaped} v={number}i {MIDNIGHT}").unwrap();
    }
    bench.influxd.write("sensu_db", &lines).await;
    bench.load(NIGHT).await;
    for (number, (_, name, encoded)) in table.into_iter().enumerate() {
        let outcome = bench.dump(bench.config(&[name])).await.unwrap();
        let object = format!("{NIGHT}/influxdb/{encoded}_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
        assert_eq!(outcome.dumps[0].object.as_deref(), Some(object.as_str()));
        assert_eq!(bench.text(&object).await, format!("[{{\"time\":\"2016-06-11T00:00:00Z\",\"v\":{number}}}]\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_not_replaced_by_what_is_left_of_the_same_backup_on_the_server() {
    for left in [0, 1] {
        let bench = Bench::with(&format!("m v=1 {MIDNIGHT}\nm v=2 {}\nm v=3 {}\n", MIDNIGHT + 1, MIDNIGHT - 1)).await;
        let output = bench.folder.path().join("out");
        let mut config = bench.config(&["m"]);
        config.output = Some(output.clone());
        let copy = bench.dump(config.clone()).await.unwrap().dumps[0].file.clone().unwrap();
        let file = "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
        let (object, whole) = (format!("{NIGHT}/influxdb/{file}"), std::fs::read_to_string(&copy).unwrap());
        let sealed = bench.seal_of(NIGHT, file).await;
        bench.influxd.query("sensu_db", &format!("DELETE FROM m WHERE time >= {}", MIDNIGHT + left)).await;

        let error = bench.dump(config).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Damage);
        let words = format!("with 2 records of the same backup, and the intermediary has {left} of 2016-06-11 now");
        assert!(error.to_string().contains(&words), "{error}");
        assert!(error.hint_text().unwrap().contains("restore the night again"), "{error:?}");
        assert_eq!((bench.text(&object).await, std::fs::read_to_string(&copy).unwrap()), (whole.clone(), whole));
        assert_eq!(bench.seal_of(NIGHT, file).await, sealed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_records_is_sealed_without_an_object_and_its_copy_replaced() {
    let bench = Bench::with(&format!("m v=2 {}\n", MIDNIGHT - 1)).await;
    let output = bench.folder.path().join("out");
    let mut config = bench.config(&["m"]);
    config.output = Some(output.clone());
    let file = "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    std::fs::create_dir(&output).unwrap();
    std::fs::write(output.join(file), "of another night").unwrap();

    let outcome = bench.dump(config).await.unwrap();
    let seal = bench.seal_of(NIGHT, file).await;
    assert_eq!((seal.object, seal.records, seal.pages, seal.bytes), (None, 0, 0, 0));
    assert_eq!(bench.objects(NIGHT).await, [format!("{NIGHT}/manifests/dump.{file}.json")]);
    assert_eq!(std::fs::read_dir(&output).unwrap().count(), 0);
    assert_eq!((&outcome.dumps[0].object, &outcome.dumps[0].file), (&None, &None));
    assert!(outcome.summary().contains("no records"), "{}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_archive_the_server_alone_is_dumped_until_its_own_time() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &format!("m v=1 {MIDNIGHT}\n")).await;
    let output = bench.folder.path().join("deep/out");
    let mut config = bench.config(&["m"]);
    (config.upload, config.output) = (false, Some(output.clone()));
    let before = chrono::Utc::now();
    let outcome = jobs::dump::run(config, now(), None, bench.reading(), std::sync::Arc::new(())).await.unwrap();
    let dumped = &outcome.dumps[0];
    let file = output.join("m_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    assert_eq!(dumped.file.as_ref(), Some(&file));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "[{\"time\":\"2016-06-11T00:00:00Z\",\"v\":1.0}]\n");
    assert_eq!((&dumped.object, dumped.open, outcome.container.as_deref()), (&None, false, None));
    // The server's clock is this machine's here, told to the second.
    assert!((dumped.covered_until - before).num_seconds().abs() <= 60, "{}", dumped.covered_until);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_day_of_influxdb_are_dumped_to_their_edges() {
    let bench = Bench::start().await;
    let (first, last) = (i64::MIN + 2, i64::MAX - 1);
    let times = [first, first + 1, last - 1, last];
    bench.influxd.write("sensu_db", &times.map(|time| format!("m v={time}i {time}\n")).concat()).await;
    for (day, times) in [("1677-09-21", &times[..2]), ("2262-04-11", &times[2..])] {
        bench.load(day).await;
        let mut config = bench.config(&["m"]);
        config.date = archive::Date::Day(day.parse().unwrap()).into();
        let object = bench.dump(config).await.unwrap().dumps[0].object.clone().unwrap();
        let written = times.iter().map(|&time| {
            let stamp = chrono::DateTime::from_timestamp_nanos(time).format("%Y-%m-%dT%H:%M:%S%.9fZ");
            format!("{{\"time\":\"{stamp}\",\"v\":{time}}}")
        });
        assert_eq!(records(&bench.text(&object).await), written.collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_range_the_day_that_clocks_skipped_is_named_and_the_others_are_dumped() {
    let mut bench = Bench::start().await;
    bench.time_zone = chrono_tz::Pacific::Apia;
    bench.influxd.write("sensu_db", &quarters("2011-12-30T10:00:00Z")).await;
    bench.load("2012-01-02").await;
    let mut config = bench.config(&["m"]);
    config.date = "2011-12-29..2011-12-31".parse().unwrap();
    let outcome = bench.dump(config).await.unwrap();
    let dumped: Vec<(String, u64)> = outcome.dumps.iter().map(|dump| (dump.night.to_string(), dump.records)).collect();
    assert_eq!(dumped, [("2011-12-29".to_owned(), 192), ("2011-12-31".to_owned(), 192)]);
    let [failure] = outcome.failures() else { panic!("{outcome:?}") };
    assert!(failure.starts_with("2011-12-30: the day 2011-12-30 does not exist in Pacific/Apia"), "{failure}");
}
