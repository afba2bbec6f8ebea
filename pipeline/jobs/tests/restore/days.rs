//! Several nights in a row, and the command after each.

use std::fs;

use archive::Date;
use jobs::restore::{Config, Recovery};
use jobs::{Kind, loaded};
use test_support::Influxd;

use crate::bench::{Bench, assert_clean, count, fill, influx, lines, points};

/// A bench with the nights of the 9th and the 11th, of 20 and 40 points, and an empty target.
async fn two_of_three() -> (Bench, Influxd) {
    let source = Influxd::start().await;
    let bench = Bench::new();
    fill(&source, "sensu_db", 1).await;
    bench.back_up_as(&source, "2016-06-09").await;
    source.write("sensu_db", &lines(2, 3)).await;
    bench.back_up_as(&source, "2016-06-11").await;
    (bench, Influxd::start().await)
}

#[tokio::test]
async fn nights_are_restored_the_oldest_first_with_a_command_after_each_and_missing_ones_are_named() {
    let (bench, target) = two_of_three().await;
    let log = bench.folder.path().join("log").display().to_string();
    // Which night it was told, and what the target holds meanwhile.
    let ask = format!("curl -sf -G {}/query --data-urlencode 'q=SELECT count(load) FROM sensu_db..cpu'", target.url());
    let then =
        format!("echo $NIGHTSHARD_DATE $NIGHTSHARD_LABEL. >>{log}; {ask} >>{log}; test $NIGHTSHARD_DATE = 2016-06-11");
    let config =
        Config { date: "2016-06-09..2016-06-11".parse().unwrap(), then: Some(then.clone()), ..bench.config(&target) };
    let outcome = bench.restore_with(config, &target).await.unwrap();
    assert_eq!(outcome.container, "2016-06-11");
    assert_eq!(outcome.earlier.iter().map(|earlier| earlier.container.as_str()).collect::<Vec<_>>(), ["2016-06-09"]);
    assert_eq!(
        outcome.failures,
        [
            format!("2016-06-09: `{then}` ended with exit status: 1"),
            "2016-06-10: there is no backup in 2016-06-10: nothing is there yet".to_owned()
        ]
    );
    let said: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    assert_eq!((said[0].as_str(), said[2].as_str()), ("2016-06-09 .", "2016-06-11 ."));
    assert!(said[1].ends_with(",20]]}]}]}") && said[3].ends_with(",40]]}]}]}"), "{said:?}");
    assert_eq!(count(&points(&target, "sensu_db").await), 40);
    assert_eq!(loaded::read(&influx(&target)).await.unwrap().unwrap().container, "2016-06-11");
    let summary = outcome.summary();
    assert!(
        summary.starts_with("2016-06-09: sensu_db restored") && summary.contains("\n2016-06-11: sensu_db"),
        "{summary}"
    );
    assert_clean(&target);
}

#[tokio::test]
async fn one_night_needs_no_command_several_need_one_backup_and_a_recovery_takes_one_night() {
    let (bench, target) = two_of_three().await;
    let config = |date: &str| Config { date: date.parse().unwrap(), ..bench.config(&target) };
    let error = bench.restore_with(config("2016-05"), &target).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("there is no backup in 2016-05-01")), (Kind::Missing, true));
    let recovery = Config { recovery: Some(Recovery { accept_expiry: false }), ..config("2016-06") };
    let error = bench.restore_with(recovery, &target).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Usage, "a recovery brings one night back, not several")
    );

    let one = Date::Day("2016-06-09".parse().unwrap());
    let config = Config { date: one.into(), then: Some("exit 7".to_owned()), ..bench.config(&target) };
    let outcome = bench.restore_with(config, &target).await.unwrap();
    assert_eq!(outcome.failures, ["`exit 7` ended with exit status: 7"]);
    assert_eq!(serde_json::to_value(&outcome).unwrap().get("earlier"), None);
}

#[tokio::test]
async fn whoever_is_asked_to_end_asks_the_command_to_end_and_restores_no_further_night() {
    let (bench, target) = two_of_three().await;
    let (begun, ended) = (bench.folder.path().join("begun"), bench.folder.path().join("ended"));
    // Started by the shell, as a program would be, and with something to put in order.
    let script = bench.folder.path().join("long");
    let text = format!(
        "trap 'touch {}; exit 1' TERM\ntouch {}\nwhile :; do sleep 0.05; done\n",
        ended.display(),
        begun.display()
    );
    fs::write(&script, text).unwrap();
    let then = format!("sh {}; true", script.display());
    // After one night alone it is no night with a failed command either: that would hide that it was ended.
    for (dates, day) in [("2016-06-09..2016-06-11", "2016-06-09: "), ("2016-06-09", "")] {
        let config = Config { date: dates.parse().unwrap(), then: Some(then.clone()), ..bench.config(&target) };
        let interrupt = config.interrupt.clone();
        let (error, ()) = tokio::join!(bench.restore_with(config, &target), async {
            while !begun.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            interrupt.request();
        });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(&format!("interrupted; restored before: 2016-06-09; {day}`sh ")), "{error}");
        assert!(ended.exists());
        assert_eq!(loaded::read(&influx(&target)).await.unwrap().unwrap().container, "2016-06-09");
        for file in [&begun, &ended] {
            fs::remove_file(file).unwrap();
        }
    }
}
