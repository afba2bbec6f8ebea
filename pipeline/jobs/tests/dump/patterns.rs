//! Names of dumps by a pattern: several sources side by side, and never two under one name.

use archive::Date;
use jobs::Kind;
use jobs::dump::Config;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND, records};

const DAY: &str = "2016-06-11-00:00:00_2016-06-12-00:00:00.json";
const ALL: &str = "{database}.{retention_policy}.{measurement}";

/// Two measurements in two policies.
async fn bench() -> Bench {
    let bench = Bench::start().await;
    bench.influxd.statement("CREATE RETENTION POLICY year ON sensu_db DURATION INF REPLICATION 1").await;
    let lines = |value: u32| format!("cpu v={value}i {MIDNIGHT}\nmem v={value}i {MIDNIGHT}\n");
    bench.influxd.write("sensu_db", &lines(1)).await;
    bench.influxd.write_into("sensu_db", "year", &lines(2)).await;
    bench.load(NIGHT).await;
    bench
}

fn of(bench: &Bench, policy: &str, name: &str, measurements: &[&str]) -> Config {
    let mut config = bench.config(measurements);
    (config.retention_policy, config.name) = (Some(policy.to_owned()), name.parse().unwrap());
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_gives_each_source_a_name_of_its_own() {
    let bench = bench().await;
    for (policy, value) in [("autogen", 1), ("year", 2)] {
        let outcome = bench.dump(of(&bench, policy, ALL, &["*"])).await.unwrap();
        for (dump, measurement) in outcome.dumps.iter().zip(["cpu", "mem"]) {
            let object = format!("{NIGHT}/influxdb/sensu_db.{policy}.{measurement}_{DAY}");
            assert_eq!(dump.object.as_deref(), Some(object.as_str()));
            assert_eq!(
                records(&bench.text(&object).await),
                [format!("{{\"time\":\"2016-06-11T00:00:00Z\",\"v\":{value}}}")]
            );
        }
    }
    assert_eq!(bench.objects(NIGHT).await.iter().filter(|name| name.contains("/influxdb/")).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_that_a_pattern_would_give_one_name_are_refused_before_anything_is_written() {
    let bench = bench().await;
    let nobody = || bench.influx_at("http://127.0.0.1:1");
    for (measurements, influx) in [(&["cpu", "mem"][..], nobody()), (&["*"][..], bench.influx())] {
        let config = of(&bench, "autogen", "{database}", measurements);
        let error = bench.dump_with(config, influx, std::sync::Arc::new(())).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Usage, "the dumps of cpu and mem would have the same name")
        );
        assert!(error.hint_text().unwrap().contains("--name with {measurement}"), "{error:?}");
    }
    assert!(bench.objects(NIGHT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_another_source_ends_the_run_before_anything_is_written() {
    let bench = bench().await;
    bench.dump(of(&bench, "year", "{measurement}", &["mem"])).await.unwrap();
    let before = bench.objects(NIGHT).await;
    let error = bench.dump(of(&bench, "autogen", "{measurement}", &["*"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("cannot dump mem of sensu_db.autogen"), "{error}");
    assert!(error.to_string().contains("holds a dump of mem of sensu_db.year under the same name"), "{error}");
    assert!(error.hint_text().unwrap().contains("--name of its own"), "{error:?}");
    assert_eq!(bench.objects(NIGHT).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_dumps_are_completed_whatever_they_are_called() {
    let bench = Bench::with(&format!("m v=1i {MIDNIGHT}\n")).await;
    let names = ["{measurement}", ALL, "load"];
    for name in names {
        assert!(bench.dump(of(&bench, "autogen", name, &["m"])).await.unwrap().dumps[0].open);
    }
    let last = MIDNIGHT + 86_399 * SECOND;
    bench.influxd.write("sensu_db", &format!("m v=2i {last}\n")).await;
    bench.load("2016-06-12").await;
    let mut config = of(&bench, "autogen", "of today {measurement}", &["m"]);
    config.date = Date::Day("2016-06-12".parse().unwrap()).into();
    let outcome = bench.dump(config).await.unwrap();
    assert_eq!((outcome.completed.len(), outcome.failures()), (3, &[][..]));
    for stem in ["m", "sensu_db.autogen.m", "load"] {
        let text = bench.text(&format!("{NIGHT}/influxdb/{stem}_{DAY}")).await;
        assert_eq!(records(&text).len(), 2, "{stem}: {text}");
    }
}
