//! What comes and what stays.

use archive::records::RestoreRecord;
use archive::{names, night_state};
use jobs::loaded;
use jobs::restore::Config;
use test_support::Influxd;

use crate::bench::{Bench, NIGHT, assert_clean, count, fill, influx, points};

#[tokio::test]
async fn every_point_of_the_night_is_on_the_target_and_it_says_so() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 12).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;

    let dumps = bench.folder.path().join("dumps/of/influxdb");
    let config = Config { dump_directory: Some(dumps.clone()), ..bench.config(&target) };
    let outcome = bench.restore_with(config, &target).await.unwrap();

    let restored = points(&target, "sensu_db").await;
    assert_eq!(restored, points(&source, "sensu_db").await);
    assert_eq!(count(&restored), 12 * 20);
    assert_eq!((outcome.shards, outcome.host.as_str()), (12, "intermediary"));
    assert_eq!((outcome.databases, outcome.failures), (vec!["sensu_db".to_owned()], vec![]));
    assert!(dumps.is_dir());
    assert_clean(&target);

    let loaded = loaded::read(&influx(&target)).await.unwrap().unwrap();
    assert_eq!((loaded.container.as_str(), &loaded.manifest_sha256), (NIGHT, &outcome.manifest_sha256));
    assert_eq!(loaded.databases, ["sensu_db"]);
    let record: RestoreRecord =
        archive::read(bench.store.as_ref(), NIGHT, &names::restore_record(NIGHT, "intermediary"))
            .await
            .unwrap()
            .document;
    assert_eq!((record.shards, record.manifest_sha256), (12, outcome.manifest_sha256));
    assert_eq!(record.target.data_directory, target.data_dir().display().to_string());
    assert!(matches!(night_state(bench.store.as_ref(), NIGHT).await.unwrap(), archive::NightState::Ready(_)));
}
