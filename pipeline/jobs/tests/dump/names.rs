//! Names and values that make trouble, as InfluxDB 1.6.7 takes them.

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_keeps_its_name_and_the_field_of_the_same_name_gives_way() {
    let bench = Bench::with(&format!(
        "c,host=tag,host_1=t host=\"field\",host_1=5i,x=1 {MIDNIGHT}\nc host=\"alone\" {MIDNIGHT}\n"
    ))
    .await;
    let expected = [
        r#"{"time":"2016-06-11T00:00:00Z","host":"alone"}"#,
        r#"{"time":"2016-06-11T00:00:00Z","host":"tag","host::field":"field","host_1":"t","host_1::field":5,"x":1.0}"#,
    ];
    assert_eq!(bench.records("c").await, expected);
    let seal = bench.seal_of(NIGHT, "c_2016-06-11-00:00:00_2016-06-12-00:00:00.json").await;
    assert_eq!(seal.warnings.len(), 2, "{:?}", seal.warnings);
    assert!(seal.warnings[0].contains("\"host\" is both a tag and a field"), "{:?}", seal.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_called_time_never_reaches_the_server_and_the_others_do() {
    // The server drops the field and keeps the point.
    let bench = Bench::with(&format!("m time=5,x=1 {MIDNIGHT}\n")).await;
    assert_eq!(bench.records("m").await, [r#"{"time":"2016-06-11T00:00:00Z","x":1.0}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_queries_cannot_reach_are_left_out_and_told() {
    let names = ["_name", "_tagKey", "_tagValue", "_seriesKey", "_fieldKey"];
    let fields = names.map(|name| format!("{name}=\"v\"")).join(",");
    let bench = Bench::with(&format!(
        "m,_name=tag,host=a {fields},_field=1i,_time=2i,x=1 {MIDNIGHT}\nm,host=a x=2 {}",
        MIDNIGHT + SECOND
    ))
    .await;
    let expected = [
        r#"{"time":"2016-06-11T00:00:00Z","_field":1,"_name":"tag","_time":2,"host":"a","x":1.0}"#,
        r#"{"time":"2016-06-11T00:00:01Z","host":"a","x":2.0}"#,
    ];
    assert_eq!(bench.records("m").await, expected);
    let seal = bench.seal_of(NIGHT, "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json").await;
    for name in names {
        let told = seal.warnings.iter().any(|warning| warning.contains(&format!("field {name:?} is left out")));
        assert!(told, "{name} is not among {:?}", seal.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_of_such_fields_alone_has_no_records() {
    let bench = Bench::with(&format!("m _name=\"v\" {MIDNIGHT}\n")).await;
    let outcome = bench.dump(bench.config(&["m"])).await.unwrap();
    assert_eq!(outcome.dumps[0].records, 0);
    assert!(outcome.summary().contains("\"_name\" is left out"), "{}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_keeps_every_type_that_it_has_had() {
    let bench = Bench::start().await;
    bench
        .influxd
        .statement("CREATE RETENTION POLICY days ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 1h")
        .await;
    let values = ["5i", "5", "\"5\"", "true", "6i"];
    for (hour, value) in values.into_iter().enumerate() {
        let hour = hour as i64 * 3600 * SECOND;
        let lines = format!(
            "m,host=a v={value} {}\nm,host=b v={value},w=1 {}\n",
            MIDNIGHT + hour,
            MIDNIGHT + hour + 3599 * SECOND
        );
        bench.influxd.write_into("sensu_db", "days", &lines).await;
    }
    bench.load(NIGHT).await;
    let mut config = bench.config(&["m"]);
    config.retention_policy = Some("days".to_owned());
    let outcome = bench.dump(config).await.unwrap();
    let text = bench.text(outcome.dumps[0].object.as_ref().unwrap()).await;
    let records = crate::bench::records(&text);
    assert_eq!(records.len(), 10);
    for (hour, value) in ["5", "5.0", "\"5\"", "true", "6"].into_iter().enumerate() {
        assert_eq!(
            records[2 * hour],
            format!("{{\"time\":\"2016-06-11T0{hour}:00:00Z\",\"host\":\"a\",\"v\":{value}}}")
        );
        assert!(records[2 * hour + 1].ends_with(&format!("\"v\":{value},\"w\":1.0}}")), "{}", records[2 * hour + 1]);
    }
    assert!(outcome.summary().contains("different types"), "{}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_that_do_not_exist_are_named_and_the_others_are_dumped() {
    let bench = Bench::with(&format!("cpu v=1 {MIDNIGHT}\nmem v=1 {MIDNIGHT}\n")).await;
    let error = bench.dump(bench.config(&["disk"])).await.unwrap_err();
    assert_eq!(error.kind(), jobs::Kind::Usage);
    assert!(error.to_string().contains("measurement disk does not exist in sensu_db.autogen"), "{error}");
    assert!(error.hint_text().unwrap().contains("cpu, mem"), "{error:?}");

    let outcome = bench.dump(bench.config(&["cpu", "disk", "mem", "cpu", "net"])).await.unwrap();
    let dumped: Vec<&str> = outcome.dumps.iter().map(|dump| dump.measurement.as_str()).collect();
    assert_eq!(dumped, ["cpu", "mem"]);
    assert_eq!(outcome.failures().len(), 2);
    assert!(
        outcome.failures()[0].contains("disk") && outcome.failures()[1].contains("net"),
        "{:?}",
        outcome.failures()
    );
    assert!(outcome.summary().contains("failed: measurement disk"), "{}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_policies_with_the_measurement_are_told() {
    let bench = Bench::with(&format!("cpu v=1 {MIDNIGHT}\n")).await;
    bench.influxd.statement("CREATE RETENTION POLICY year ON sensu_db DURATION INF REPLICATION 1").await;
    bench.influxd.write_into("sensu_db", "year", &format!("cpu v=2 {MIDNIGHT}\nold v=3 {MIDNIGHT}\n")).await;

    let outcome = bench.dump(bench.config(&["cpu"])).await.unwrap();
    assert_eq!((outcome.dumps[0].retention_policy.as_str(), outcome.dumps[0].records), ("autogen", 1));
    assert!(outcome.dumps[0].warnings[0].contains("retention policy year too"), "{:?}", outcome.dumps[0].warnings);

    let error = bench.dump(bench.config(&["old"])).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("it exists in year"), "{error:?}");
    let mut config = bench.config(&["old"]);
    config.retention_policy = Some("year".to_owned());
    assert_eq!(bench.dump(config.clone()).await.unwrap().dumps[0].records, 1);

    config.retention_policy = Some("decade".to_owned());
    let error = bench.dump(config).await.unwrap_err();
    assert_eq!(error.kind(), jobs::Kind::Usage);
    assert!(error.hint_text().unwrap().contains("autogen, year"), "{error:?}");
}
