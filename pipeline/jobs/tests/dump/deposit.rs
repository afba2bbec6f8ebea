//! What is in the archive already under the name of a dump.

use std::sync::Arc;

use bytes::Bytes;
use jobs::dump::Config;
use jobs::{Kind, loaded};
use store::StoreExt;

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, now};
use crate::writes::Writes;

const FILE: &str = "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json";

/// One measurement in two databases, and in two policies of the first one.
async fn bench() -> Bench {
    let bench = Bench::start().await;
    bench.influxd.statement("CREATE DATABASE other_db").await;
    bench.influxd.statement("CREATE RETENTION POLICY year ON sensu_db DURATION INF REPLICATION 1").await;
    bench.influxd.write("sensu_db", &format!("m v=1 {MIDNIGHT}\n")).await;
    bench.influxd.write("other_db", &format!("m v=2 {MIDNIGHT}\n")).await;
    bench.influxd.write_into("sensu_db", "year", &format!("m v=3 {MIDNIGHT}\n")).await;
    let databases = ["other_db", "sensu_db"];
    let manifest_sha256 = bench.seal(NIGHT, &databases).await;
    let databases = databases.map(str::to_owned).to_vec();
    let night = loaded::LoadedNight { container: NIGHT.to_owned(), manifest_sha256, databases };
    loaded::write(&bench.influx(), &night, now()).await.unwrap();
    bench
}

fn of(bench: &Bench, database: &str, policy: &str) -> Config {
    let mut config = bench.config(&["m"]);
    (config.database, config.retention_policy) = (Some(database.to_owned()), Some(policy.to_owned()));
    config
}

/// Everything that the night holds, byte for byte.
async fn content(bench: &Bench) -> Vec<(String, Bytes)> {
    let mut content = Vec::new();
    for name in bench.objects(NIGHT).await {
        let bytes = bench.store.get_bytes(NIGHT, &name, u64::MAX).await.unwrap();
        content.push((name, bytes));
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dump_of_another_database_or_policy_is_not_replaced() {
    let bench = bench().await;
    bench.dump(of(&bench, "sensu_db", "autogen")).await.unwrap();
    let before = content(&bench).await;
    for (database, policy) in [("other_db", "autogen"), ("sensu_db", "year")] {
        // A query would take its time for nothing: none is asked.
        let told = Intruder::new("nothing", || ());
        let progress = Arc::<Intruder<_>>::clone(&told);
        let error = bench.dump_with(of(&bench, database, policy), bench.influx(), progress).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(!told.reported.lock().unwrap().iter().any(|event| event.contains("dumping")));
        let expected = format!(
            "cannot dump m of {database}.{policy}: {NIGHT} holds a dump of m of sensu_db.autogen under the same name, \
             {FILE}"
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.hint_text().unwrap().contains("--no-upload --output"), "{error:?}");
        assert_eq!(content(&bench).await, before);

        // What the hint says.
        let mut config = of(&bench, database, policy);
        (config.upload, config.output) = (false, Some(bench.folder.path().join(database).join(policy)));
        let copy = bench.dump(config).await.unwrap().dumps[0].file.clone().unwrap();
        assert!(std::fs::read_to_string(copy).unwrap().contains(if policy == "year" { "3.0" } else { "2.0" }));
        assert_eq!(content(&bench).await, before);
    }
    assert_eq!(bench.dump(of(&bench, "sensu_db", "autogen")).await.unwrap().dumps[0].records, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_comes_meanwhile_is_not_replaced() {
    let bench = bench().await;
    bench.dump(of(&bench, "other_db", "autogen")).await.unwrap();
    let name = format!("{NIGHT}/manifests/dump.{FILE}.json");
    let path = bench.folder.path().join("archive").join(NIGHT).join(&name);
    let aside = bench.folder.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let comes = Intruder::new("dumping m", move || std::fs::rename(&aside, &path).unwrap());
    let error = bench.dump_with(of(&bench, "sensu_db", "autogen"), bench.influx(), comes).await.unwrap_err();
    assert!(error.to_string().contains("holds a dump of m of other_db.autogen"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_cannot_be_read_is_not_replaced_and_a_dump_without_a_seal_is() {
    let bench = bench().await;
    let name = format!("{NIGHT}/manifests/dump.{FILE}.json");
    let table = [
        ("{\"format\":\"nightshard-dump/2\"}", Kind::Usage, "nightshard-dump/2", "install the version"),
        ("{\"format\":", Kind::Damage, "cannot be read", "remove 2016-06-11/manifests/dump.m_"),
    ];
    for (seal, kind, message, hint) in table {
        bench.store.put_bytes(NIGHT, &name, Bytes::from_static(seal.as_bytes())).await.unwrap();
        let before = content(&bench).await;
        let error = bench.dump(of(&bench, "sensu_db", "autogen")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
        assert_eq!(content(&bench).await, before);
    }
    bench.store.delete(NIGHT, &name).await.unwrap();
    let object = format!("{NIGHT}/influxdb/{FILE}");
    bench.store.put_bytes(NIGHT, &object, Bytes::from_static(b"half")).await.unwrap();
    bench.dump(of(&bench, "sensu_db", "autogen")).await.unwrap();
    assert!(bench.text(&object).await.contains("1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_is_a_passing_failure_until_an_older_seal_has_gone() {
    let bench = bench().await;
    let writes = Writes::new(&bench.store);
    let dump = || {
        let store = Arc::<Writes>::clone(&writes);
        jobs::dump::run(of(&bench, "sensu_db", "autogen"), now(), Some(store), bench.reading(), Arc::new(()))
    };
    let refuse = |name: Option<String>| *writes.refuse.lock().unwrap() = name;
    refuse(Some(format!("{NIGHT}/influxdb/{FILE}")));
    assert_eq!(dump().await.unwrap_err().kind(), Kind::Passing);
    refuse(None);
    dump().await.unwrap();
    refuse(Some(format!("{NIGHT}/influxdb/{FILE}")));
    assert_eq!(dump().await.unwrap_err().kind(), Kind::Failed);
}
