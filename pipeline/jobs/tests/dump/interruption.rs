//! A dump that is asked to end: at once, with nothing half done.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jobs::Kind;
use test_support::{Fault, FaultProxy};

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, SECOND, now};
use crate::writes::Writes;

/// Much less than the server, the store or a wait would take for an end of their own.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn bench() -> Bench {
    Bench::with(&format!("m v=1 {MIDNIGHT}\nn v=1 {MIDNIGHT}\n")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_restore_ends_at_once() {
    let bench = bench().await;
    bench.influxd.statement("DROP DATABASE nightshard").await;
    let mut config = bench.config(&["m"]);
    config.wait = Some(Duration::from_secs(3600));
    let interrupt = config.interrupt.clone();
    let signal = Intruder::new("Waiting", move || interrupt.request());
    let ended = tokio::time::timeout(AT_ONCE, bench.dump_with(config, bench.influx(), signal)).await.unwrap();
    assert_eq!(ended.unwrap_err().to_string(), "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_stalled_is_not_waited_for_and_the_spool_is_left_clean() {
    let bench = Bench::start().await;
    let mut lines = String::new();
    for number in 0..100_000 {
        writeln!(lines, "m,host=h{} v={number}i {}", number % 50, MIDNIGHT + number / 50 * SECOND).unwrap();
    }
    bench.influxd.write("sensu_db", &lines).await;
    bench.load(NIGHT).await;
    let proxy = FaultProxy::start(bench.influxd.http_address()).await;
    proxy.set_next([Fault::StallAnswer(500_000); 8]);
    // Several measurements: what is asked to end does not go on with the next one.
    let mut config = bench.config(&["m", "other"]);
    config.parallel = 1;
    // Runs lie in the spool then.
    config.buffer_bytes = 1000;
    let (interrupt, spool) = (config.interrupt.clone(), bench.spool());
    tokio::spawn(async move {
        // The records are on their way once there is a file for them.
        let within = |folder: &std::path::Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
        let begun = |run: std::fs::DirEntry| within(&run.path()).any(|shelf| shelf.path().join("dump").exists());
        while !within(&spool).any(begun) {
            tokio::task::yield_now().await;
        }
        interrupt.request();
    });
    let told = Intruder::new("nothing", || ());
    // That the spool is empty in the end is looked at there.
    let dump = bench.dump_with(config, bench.influx_at(&proxy.url()), Arc::<Intruder<_>>::clone(&told));
    let error = tokio::time::timeout(AT_ONCE, dump).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Failed, "interrupted"));
    // Nothing but word of what was asked for.
    assert!(bench.objects(NIGHT).await.iter().all(|name| name.contains("/selection.")));
    assert!(!told.reported.lock().unwrap().iter().any(|event| event.contains("dumping other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_being_stored_is_sealed_before_the_end() {
    let bench = bench().await;
    let file = |name: &str| format!("{name}_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    let (object, seal) =
        (format!("{NIGHT}/influxdb/{}", file("m")), format!("{NIGHT}/manifests/dump.{}.json", file("m")));
    for at in [&object, &seal] {
        // One that has a seal already loses it first.
        bench.dumped("m").await;
        let writes = Writes::new(&bench.store);
        for measurements in [&["m", "n"][..], &["m"]] {
            writes.seen.lock().unwrap().clear();
            let mut config = bench.config(measurements);
            config.parallel = 1;
            *writes.interrupt_at.lock().unwrap() = Some((at.clone(), config.interrupt.clone()));
            let store = Arc::<Writes>::clone(&writes);
            let ended = jobs::dump::run(config, now(), Some(store), bench.reading(), Arc::new(())).await;
            let written = [format!("delete {seal}"), format!("put {object}"), format!("put {seal}")];
            assert_eq!(*writes.seen.lock().unwrap(), written);
            assert!(bench.text(&object).await.contains("1.0"));
            // A single one may have been all that there was to do; of two the second is missing.
            match ended {
                Ok(outcome) => assert_eq!((measurements, outcome.dumps.len()), (&["m"][..], 1)),
                Err(error) => assert_eq!(error.to_string(), "interrupted"),
            }
        }
    }
}
