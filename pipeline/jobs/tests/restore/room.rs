//! A spool that may hold only so much: a restore knows beforehand what it needs there.

use jobs::Kind;
use test_support::{FolderWatch, Influxd};

use crate::bench::{Bench, fill};
use crate::online::online;

#[tokio::test]
async fn a_night_that_is_larger_than_the_spool_may_be_is_refused_over_the_wire_and_one_that_fits_is_restored() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let spool = bench.folder.path().join("spool");
    let shards = archive::names::shards_prefix("2016-06-11");
    let listed = store::StoreExt::list_all(bench.store.as_ref(), "2016-06-11", &shards).await.unwrap();
    let bytes: u64 = listed.iter().filter(|entry| !entry.name.ends_with("/meta.00")).map(|entry| entry.bytes).sum();

    let mut config = online(&bench, &target);
    config.place.spool_size = Some(bytes - 1);
    let error = bench.restore_with(config.clone(), &target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    let message =
        format!("{bytes} bytes of the night would lie in the spool, more than --spool-size, {} bytes", bytes - 1);
    assert_eq!(error.to_string(), message);
    assert!(error.hint_text().unwrap().contains("a larger --spool-size"), "{error:?}");
    assert!(!target.statement("SHOW DATABASES").await.to_string().contains("sensu_db"));

    config.place.spool_size = Some(bytes);
    let watch = FolderWatch::start(&spool);
    bench.restore_with(config, &target).await.unwrap();
    assert!(watch.stop() <= bytes);
    assert_eq!(target.count("sensu_db", "cpu", "load").await, 60);
}
