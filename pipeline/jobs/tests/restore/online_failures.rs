//! What goes wrong during a restore over the wire, what is left then, and that the same command makes it good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use influx::Influx;
use jobs::restore::{self, Config};
use jobs::{Error, Event, Kind, Progress, loaded};
use test_support::{Fault, FaultProxy, Influxd};

use crate::bench::{Bench, fill, influx, now, points, two_nights};
use crate::online::online;

/// Does something at the first step that says this.
struct At<F: Fn()>(&'static str, F);

impl<F: Fn() + Send + Sync + 'static> Progress for At<F> {
    fn report(&self, event: Event<'_>) {
        if matches!(event, Event::Step(text) if text == self.0) {
            self.1();
        }
    }
}

async fn restore_at(
    bench: &Bench,
    config: Config,
    client: Influx,
    step: &'static str,
    action: impl Fn() + Send + Sync + 'static,
) -> Result<(), Error> {
    restore::run(config, now(), Arc::clone(&bench.store), client, Arc::new(At(step, action))).await.map(drop)
}

/// The same command again brings what the source has.
async fn assert_completed(bench: &Bench, source: &Influxd, target: &Influxd) {
    bench.restore_with(online(bench, target), target).await.unwrap();
    assert_eq!(points(target, "sensu_db").await, points(source, "sensu_db").await);
    assert!(loaded::read(&influx(target)).await.unwrap().is_some());
}

const HINT: &str = "run the same command again: it begins anew, and completes it";

#[tokio::test]
async fn a_run_that_is_asked_to_end_changes_nothing_or_says_what_is_missing() {
    let (source, target, bench) = two_nights().await;
    let before = (points(&target, "sensu_db").await, loaded::read(&influx(&target)).await.unwrap());
    assert!(before.1.is_some());
    for step in ["looking at the night and the target", "downloading and checking", "claiming the target"] {
        let config = online(&bench, &target);
        let interrupt = config.interrupt.clone();
        let error = restore_at(&bench, config, influx(&target), step, move || interrupt.request()).await.unwrap_err();
        assert_eq!(error.to_string(), "interrupted", "{step}");
        let after = (points(&target, "sensu_db").await, loaded::read(&influx(&target)).await.unwrap());
        assert!(after == before, "{step}");
    }
    for step in ["exchanging the databases", "sending the shards", "asking every shard"] {
        let config = online(&bench, &target);
        let interrupt = config.interrupt.clone();
        let error = restore_at(&bench, config, influx(&target), step, move || interrupt.request()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "interrupted; until a restore is completed, sensu_db on the target cannot be relied on",
            "{step}"
        );
        assert_eq!((error.kind(), error.hint_text().unwrap().contains(HINT)), (Kind::Failed, true), "{step}");
        // Nobody takes what is there for a night.
        let held = loaded::read(&influx(&target)).await.unwrap();
        assert!(held.is_none() || step == "exchanging the databases", "{step}");
    }
    assert_completed(&bench, &source, &target).await;
}

#[tokio::test]
async fn a_connection_that_breaks_costs_one_shard_again() {
    let (source, target, bench) = two_nights().await;
    let proxy = FaultProxy::start(target.snapshot_address()).await;
    let settings = influx::Settings::new(target.url().parse().unwrap(), proxy.address());
    let client = Influx::new(settings).unwrap();
    let proxy = Arc::new(proxy);
    let config = Config { parallel: 1, ..online(&bench, &target) };
    let (breaking, before) = (Arc::clone(&proxy), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&before);
    let action = move || {
        counted.store(breaking.connections(), Ordering::Relaxed);
        // The connections that come next are those of the shards.
        breaking.set_next([Fault::None, Fault::ResetRequest(1500), Fault::None, Fault::ResetRequest(10)]);
    };
    restore_at(&bench, config, client, "sending the shards", action).await.unwrap();
    // Five shards, two of them twice; then the metastore and the list of shards are read, the metastore once more to count.
    assert_eq!(proxy.connections() - before.load(Ordering::Relaxed), 5 + 2 + 3);
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn a_target_that_dies_under_the_restore_is_said_and_the_next_run_completes_it() {
    let (source, target, bench) = two_nights().await;
    let target = Arc::new(target);
    for step in ["exchanging the databases", "sending the shards", "asking every shard"] {
        let dying = Arc::clone(&target);
        let client = influx(&target);
        let config = online(&bench, &target);
        let error = restore_at(&bench, config, client, step, move || dying.kill()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed, "{step}: {error}");
        assert!(error.to_string().contains("sensu_db on the target cannot be relied on"), "{step}: {error}");
        assert!(error.hint_text().unwrap().contains(HINT), "{step}: {error:?}");
        // One that does not answer is no target for this way.
        let error = bench.restore_with(online(&bench, &target), &target).await.unwrap_err();
        assert!(error.to_string().contains("cannot ping InfluxDB"), "{step}: {error}");
        target.restart().await;
    }
    assert_completed(&bench, &source, &target).await;
}

#[tokio::test]
async fn another_run_that_comes_meanwhile_is_noticed() {
    let (source, target, bench) = two_nights().await;
    let other = Arc::new(AtomicBool::new(false));
    // From another machine, which shares no lock: it writes down that it is at work.
    let (url, begun) = (target.url(), Arc::clone(&other));
    let action = move || {
        let line = r#"restored run="another",ours="{}" 0"#;
        let sent = std::process::Command::new("curl")
            .args(["-sf", "-XPOST", &format!("{url}/write?db=nightshard"), "--data-binary", line])
            .status()
            .unwrap();
        begun.store(sent.success(), Ordering::Relaxed);
    };
    let config = online(&bench, &target);
    let error = restore_at(&bench, config, influx(&target), "asking every shard", action).await.unwrap_err();
    assert!(other.load(Ordering::Relaxed));
    assert!(error.to_string().contains("another restore has begun on the target meanwhile"), "{error}");
    assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None);
    // What it has written is no list of databases.
    let error = bench.restore_with(online(&bench, &target), &target).await.unwrap_err();
    assert!(error.to_string().contains("list of the restored databases cannot be read"), "{error}");
    target.statement("DROP DATABASE nightshard").await;
    let config = Config { first_restore: true, ..online(&bench, &target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn another_run_is_what_is_told_when_it_takes_the_databases_away() {
    let (_source, target, bench) = two_nights().await;
    let url = target.url();
    let action = move || {
        for (path, data) in
            [("write?db=nightshard", r#"restored run="another",ours="{}" 0"#), ("query", "q=DROP DATABASE sensu_db")]
        {
            let (url, flag) =
                (format!("{url}/{path}"), if path == "query" { "--data-urlencode" } else { "--data-binary" });
            let sent = std::process::Command::new("curl").args(["-sf", "-o", "/dev/null", &url, flag, data]).status();
            assert!(sent.unwrap().success());
        }
    };
    let config = online(&bench, &target);
    let error = restore_at(&bench, config, influx(&target), "asking every shard", action).await.unwrap_err();
    assert!(error.to_string().starts_with("another restore has begun on the target meanwhile"), "{error}");
    assert!(error.hint_text().unwrap().contains("one machine restores at a time"), "{error:?}");
}

#[tokio::test]
async fn a_night_that_is_damaged_drops_nothing() {
    let (_source, target, bench) = two_nights().await;
    let before = points(&target, "sensu_db").await;
    let shard = bench.folder.path().join("archive/2016-06-11/2016-06-11/shards/sensu_db.default.00001.00");
    let mut bytes = std::fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let error = bench.restore_with(online(&bench, &target), &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage, "{error}");
    assert_eq!(points(&target, "sensu_db").await, before);
    assert!(loaded::read(&influx(&target)).await.unwrap().is_some());
    // Nor is anything left in the spool.
    assert_eq!(std::fs::read_dir(bench.folder.path().join("spool")).unwrap().count(), 0);
}

/// Counts what lies in the spool whenever a shard is done.
struct Spooled(std::path::PathBuf, AtomicUsize);

impl Progress for Spooled {
    fn report(&self, event: Event<'_>) {
        if matches!(event, Event::Done { .. }) {
            let folders = std::fs::read_dir(&self.0).unwrap().flatten();
            let shards = folders.map(|run| std::fs::read_dir(run.path()).unwrap().count()).sum();
            self.1.fetch_max(shards, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn shards_are_passed_on_as_they_come_when_the_drop_comes_first() {
    let (source, target, bench) = two_nights().await;
    let night = bench.folder.path().join("archive/2016-06-11/2016-06-11/shards");
    let shard = night.join("sensu_db.default.00004.00");
    let whole = std::fs::read(&shard).unwrap();
    let config = Config { drop_first: true, parallel: 2, ..online(&bench, &target) };
    let before = points(&target, "sensu_db").await;
    // A night that is not there is not dropped for.
    std::fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    let error = bench.restore_with(config.clone(), &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage, "{error}");
    assert!(error.hint_text().unwrap().contains("nothing was changed"), "{error:?}");
    assert_eq!(points(&target, "sensu_db").await, before);
    assert!(loaded::read(&influx(&target)).await.unwrap().is_some());
    // One that only turns out to be damaged is, and no copy of it is taken for whole.
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&shard, damaged).unwrap();
    let error = bench.restore_with(config.clone(), &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage, "{error}");
    assert!(error.to_string().contains("sensu_db on the target cannot be relied on"), "{error}");
    let hint = error.hint_text().unwrap();
    assert!(!hint.contains("nothing was changed") && hint.contains("restore another night"), "{error:?}");
    assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None);

    std::fs::write(&shard, whole).unwrap();
    let spooled = Arc::new(Spooled(bench.folder.path().join("spool"), AtomicUsize::new(0)));
    let progress: Arc<dyn Progress> = Arc::<Spooled>::clone(&spooled);
    restore::run(config, now(), Arc::clone(&bench.store), influx(&target), progress).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert!(spooled.1.load(Ordering::Relaxed) <= 2, "{:?}", spooled.1);
}

#[tokio::test]
async fn the_target_may_want_a_password() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().admin("root", "swordfish").start().await;
    target.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    let error = bench.restore_with(online(&bench, &target), &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    let reader = crate::bench::influx_as(&target, "reader", "r");
    let error = bench.restore_by(online(&bench, &target), reader).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    assert!(error.hint_text().unwrap().contains("admin"), "{error:?}");
    let admin = crate::bench::influx_as(&target, "root", "swordfish");
    bench.restore_by(online(&bench, &target), admin).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}
