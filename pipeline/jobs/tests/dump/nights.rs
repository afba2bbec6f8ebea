//! Which night the server holds, before and after; seals that come and go.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs::{Kind, Lock, lock};

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, now, record_now};
use crate::writes::Writes;

const FILE: &str = "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json";

async fn bench() -> Bench {
    Bench::with(&format!("m v=1 {MIDNIGHT}\n")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_holds_another_night_is_not_dumped() {
    let bench = bench().await;
    let sha256 = bench.seal(NIGHT, &["sensu_db"]).await;
    for (night, sha256, what) in
        [("2016-06-10", sha256.as_str(), "the night 2016-06-10"), (NIGHT, "another", "another backup of 2016-06-11")]
    {
        bench.record(night, sha256).await;
        let error = bench.dump(bench.config(&["m"])).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Passing);
        assert!(error.to_string().contains(what), "{error}");
    }
    bench.influxd.statement("DROP DATABASE nightshard").await;
    let error = bench.dump(bench.config(&["m"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Passing);
    assert!(bench.objects(NIGHT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_is_loaded_while_it_waits_is_dumped() {
    let bench = bench().await;
    let sha256 = bench.seal(NIGHT, &["sensu_db"]).await;
    bench.influxd.statement("DROP DATABASE nightshard").await;
    let address = bench.influxd.http_address();
    let restore = Intruder::new("Waiting", move || record_now(&address, NIGHT, &sha256));
    let mut config = bench.config(&["m"]);
    config.wait = Some(Duration::from_secs(60));
    let outcome = bench.dump_with(config, bench.influx(), Arc::<Intruder<_>>::clone(&restore)).await.unwrap();
    assert_eq!(outcome.dumps[0].records, 1);
    assert!(restore.reported.lock().unwrap().iter().any(|event| event.contains("no night")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_is_replaced_in_the_middle_is_not_sealed() {
    let bench = bench().await;
    let address = bench.influxd.http_address();
    let other = Intruder::new("dumping m", move || record_now(&address, "2016-06-12", "another"));
    let error = bench.dump_with(bench.config(&["m"]), bench.influx(), other).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Passing);
    assert!(error.to_string().contains("the night 2016-06-12"), "{error}");
    assert!(bench.objects(NIGHT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_share_a_server_and_a_restore_has_it_alone() {
    let bench = bench().await;
    let config = bench.config(&["m"]);
    let name = lock::target_name(bench.influx().url());
    let other_dump = Lock::shared(&config.place.locks, &name).unwrap();
    bench.dump(config.clone()).await.unwrap();
    drop(other_dump);
    let restore = Lock::exclusive(&config.place.locks, &name).unwrap();
    let error = bench.dump(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);

    // While it waits it must not hold the lock itself.
    let mut waiting = config.clone();
    waiting.wait = Some(Duration::from_secs(60));
    let restore = Mutex::new(Some(restore));
    let ends = Intruder::new("Waiting", move || drop(restore.lock().unwrap().take()));
    bench.dump_with(waiting, bench.influx(), ends).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_backup_there_is_nothing_to_dump() {
    let bench = bench().await;
    let mut config = bench.config(&["m"]);
    config.date = archive::Date::Yesterday.into();
    config.calendar.time_zone = chrono_tz::Europe::Berlin;
    let error = bench.dump(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "the night was named in another time zone: {error}");
    config.date = archive::Date::Today.into();
    assert_eq!(bench.dump(config).await.unwrap_err().kind(), Kind::Missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_database_is_taken_and_of_several_one_must_be_named() {
    let bench = bench().await;
    let sha256 = bench.seal(NIGHT, &["other_db", "sensu_db"]).await;
    bench.record(NIGHT, &sha256).await;
    let error = bench.dump(bench.config(&["m"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint_text().unwrap().contains("other_db, sensu_db"), "{error:?}");
    let mut config = bench.config(&["m"]);
    config.database = Some("sensu_db".to_owned());
    assert_eq!(bench.dump(config.clone()).await.unwrap().dumps[0].database, "sensu_db");
    // The record says that only sensu_db was restored.
    config.database = Some("other_db".to_owned());
    let error = bench.dump(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Passing);
    assert!(error.to_string().contains("without database other_db"), "{error}");
    config.database = Some("unknown_db".to_owned());
    assert_eq!(bench.dump(config).await.unwrap_err().kind(), Kind::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_loses_its_seal_before_it_is_replaced_and_gets_a_new_one_after() {
    let bench = bench().await;
    let older = bench.dumped("m").await;
    bench.influxd.write("sensu_db", &format!("m v=2 {}\n", MIDNIGHT + 1)).await;
    let writes = Writes::new(&bench.store);
    let (seal, object) = (format!("{NIGHT}/manifests/dump.{FILE}.json"), format!("{NIGHT}/influxdb/{FILE}"));

    *writes.refuse.lock().unwrap() = Some(object.clone());
    let run =
        |config| jobs::dump::run(config, now(), Some(Arc::<Writes>::clone(&writes)), bench.reading(), Arc::new(()));
    run(bench.config(&["m"])).await.unwrap_err();
    assert_eq!(
        bench.objects(NIGHT).await,
        std::slice::from_ref(&object),
        "a dump that could not be replaced has no seal"
    );

    *writes.refuse.lock().unwrap() = None;
    writes.seen.lock().unwrap().clear();
    run(bench.config(&["m"])).await.unwrap();
    let expected = [format!("delete {seal}"), format!("put {object}"), format!("put {seal}")];
    assert_eq!(*writes.seen.lock().unwrap(), expected);
    let newer = bench.text(&object).await;
    assert_ne!(newer, older);
    assert_eq!(newer.matches("\"time\"").count(), 2);
}
