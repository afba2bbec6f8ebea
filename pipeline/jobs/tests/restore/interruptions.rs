//! Asked to end: whenever that is, the target answers afterwards, with the old state or the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobs::restore::{self, Config};
use jobs::{Error, Event, Interrupt, Kind, Progress, loaded};
use test_support::Influxd;

use crate::bench::{Bench, NIGHT, assert_clean, influx, metastore, now, once, points, two_nights};

/// Asks the job to end at the first event that says this.
struct At(&'static str, Interrupt);

impl Progress for At {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Step(text) | Event::Waiting(text) if text.contains(self.0) => self.1.request(),
            Event::Done { .. } if self.0 == "done" => self.1.request(),
            _ => {}
        }
    }
}

async fn interrupted_at(bench: &Bench, config: Config, target: &Influxd, moment: &'static str) -> Result<(), Error> {
    let progress = Arc::new(At(moment, config.interrupt.clone()));
    restore::run(config, now(), Arc::clone(&bench.store), influx(target), progress).await.map(drop)
}

/// Asks the job to end as soon as a file is there.
async fn request_when(file: &Path, interrupt: &Interrupt) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    interrupt.request();
}

const BACK: &str = "interrupted; the target's old state is back, and answers";

#[tokio::test]
async fn the_target_answers_with_the_old_state_whenever_it_is_before_the_proof() {
    let (source, target, bench) = two_nights().await;
    let state = async || {
        let data = metastore(&target);
        let loaded = loaded::read(&influx(&target)).await.unwrap();
        (points(&target, "sensu_db").await, points(&target, "other").await, data.databases, loaded)
    };
    let before = state().await;
    assert!(before.3.is_some());
    let moments = [
        ("looking at the night", "interrupted"),
        ("downloading", "interrupted"),
        ("done", "interrupted"),
        ("stopping", BACK),
        ("exchanging", BACK),
        ("starting", BACK),
        ("asking every shard", BACK),
    ];
    for (moment, message) in moments {
        let error = interrupted_at(&bench, bench.config(&target), &target, moment).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Failed, message), "{moment}");
        assert!(state().await == before, "{moment}");
        assert_clean(&target);
    }
    // Once the new state is proven, it stays, and the records say so.
    interrupted_at(&bench, bench.config(&target), &target, "writing the records").await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(loaded::read(&influx(&target)).await.unwrap().unwrap().container, NIGHT);
    assert_clean(&target);
}

#[tokio::test]
async fn a_wait_for_the_night_ends_and_one_that_was_asked_before_does_nothing() {
    let target = Influxd::start().await;
    let bench = Bench::new();
    let config = Config { wait: Some(Duration::from_secs(3600)), ..bench.config(&target) };
    let error = interrupted_at(&bench, config, &target, "nothing is there yet").await.unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
    let config = bench.config(&target);
    config.interrupt.request();
    let error = bench.restore_with(config, &target).await.unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
}

#[tokio::test]
async fn a_start_that_hangs_is_broken_off_and_a_stop_is_not() {
    let (_source, target, bench) = two_nights().await;
    let before = points(&target, "sensu_db").await;
    let (starting, stopping) = (bench.folder.path().join("starting"), bench.folder.path().join("stopping"));
    let config = bench.config(&target);
    let hang = format!("touch {}; exec sleep 1000", starting.display());
    let start_command = once(&bench, &hang, &config.start_command);
    let interrupt = config.interrupt.clone();
    let config = Config { start_command, ..config };
    let (error, ()) = tokio::join!(bench.restore_with(config, &target), request_when(&starting, &interrupt));
    assert_eq!(error.unwrap_err().to_string(), BACK);
    assert_eq!(points(&target, "sensu_db").await, before);
    assert_clean(&target);

    let config = bench.config(&target);
    let stop_command = format!("touch {}; sleep 0.5; {}", stopping.display(), config.stop_command);
    let interrupt = config.interrupt.clone();
    let config = Config { stop_command, ..config };
    let (error, ()) = tokio::join!(bench.restore_with(config, &target), request_when(&stopping, &interrupt));
    assert_eq!(error.unwrap_err().to_string(), BACK);
    assert_eq!(points(&target, "sensu_db").await, before);
    assert_clean(&target);
}
