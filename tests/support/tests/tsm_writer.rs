//! A real influxd reads what the writer of TSM files writes.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use test_support::Influxd;
use test_support::tsm_writer::{
    Column, Packing, TsmWriter, Windows, assemble, block, booleans, floats, integers, strings, times, tombstone,
};

/// A Thursday, at which a shard of seven days begins.
const START: i64 = 1_600_300_800_000_000_000;

/// Times and values of each series, by the tag that names it.
type Expected = BTreeMap<String, Vec<(i64, Value)>>;

/// A block, and what is in it.
struct Made {
    series: String,
    code: u8,
    bytes: Vec<u8>,
    points: Vec<(i64, Value)>,
}

/// All that is put before the server.
fn blocks() -> Vec<Made> {
    let regular: Vec<i64> = (0..250).map(|index| START + index * 1_000_000_000).collect();
    let irregular: Vec<i64> = (0..250).map(|index| START + index * index * 1_000 + index % 7).collect();
    let mut blocks = Vec::new();
    let mut add = |series: String, times: &[i64], bytes: Vec<u8>, values: Vec<Value>| {
        let points = times.iter().copied().zip(values).collect();
        blocks.push(Made { series, code: bytes[4], bytes, points });
    };

    let random: Vec<f64> = (0..250).map(|index| f64::from(index * 7919 % 1000) / 8.0 - 60.0).collect();
    let constant = vec![-0.5; 250];
    let extreme: Vec<f64> = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, 5e-324].repeat(50);
    let packed = times(&irregular, Packing::Packed).unwrap();
    for (name, values) in [("random", random), ("constant", constant), ("extreme", extreme)] {
        for windows in [Windows::AsServer, Windows::Fresh, Windows::Whole] {
            let bytes = assemble(0, &packed, &floats(&values, windows));
            add(
                format!("float-{name}-{windows:?}"),
                &irregular,
                bytes,
                values.iter().map(|value| json!(value)).collect(),
            );
        }
        add(
            format!("float-{name}"),
            &regular,
            block(&regular, &Column::Float(&values)),
            values.iter().map(|value| json!(value)).collect(),
        );
    }

    for packing in [Packing::Raw, Packing::Packed, Packing::Run] {
        let times_part = times(&regular, packing).unwrap();
        let ramp: Vec<i64> = (0..250).map(|index| index * 3 - 100).collect();
        let bits: Vec<u64> = ramp.iter().map(|value| value.cast_unsigned()).collect();
        let bytes = assemble(1, &times_part, &integers(&bits, packing).unwrap());
        add(format!("integer-{packing:?}"), &regular, bytes, ramp.iter().map(|value| json!(value)).collect());
        let bits: Vec<u64> = (0..250).map(|index| u64::MAX - index * 3).collect();
        let bytes = assemble(4, &times_part, &integers(&bits, packing).unwrap());
        add(format!("unsigned-{packing:?}"), &regular, bytes, bits.iter().map(|value| json!(value)).collect());
    }
    let growing: Vec<i64> = (0..60).map(|index| (1i64 << index) - 5).collect();
    let few = &irregular[..60];
    add(
        "integer-widths".to_owned(),
        few,
        block(few, &Column::Integer(&growing)),
        growing.iter().map(|value| json!(value)).collect(),
    );

    let bits: Vec<bool> = (0..250).map(|index| index % 3 == 0).collect();
    let bytes = assemble(2, &packed, &booleans(&bits));
    add("boolean".to_owned(), &irregular, bytes, bits.iter().map(|value| json!(value)).collect());
    let words: Vec<Vec<u8>> = (0..250).map(|index| "wörter ".repeat(index % 30).into_bytes()).collect();
    let bytes = assemble(3, &packed, &strings(&words));
    let told = words.iter().map(|word| json!(str::from_utf8(word).unwrap())).collect();
    add("string".to_owned(), &irregular, bytes, told);
    blocks
}

/// What the server answers, series by series.
async fn answered(influxd: &Influxd) -> Expected {
    let mut all = Expected::new();
    // A field has one type in a query, so every type is asked for by itself.
    for code in 0..5 {
        let answer = influxd.query("made", &format!("SELECT f FROM type{code} GROUP BY *")).await;
        for series in answer["results"][0]["series"].as_array().unwrap() {
            let name = series["tags"]["s"].as_str().unwrap().to_owned();
            let points = series["values"].as_array().unwrap().iter();
            all.insert(name, points.map(|row| (row[0].as_i64().unwrap(), told(code, &row[1]))).collect());
        }
    }
    all
}

/// A float without a fraction comes as an integer.
fn told(code: u8, value: &Value) -> Value {
    if code == 0 { json!(value.as_f64().unwrap()) } else { value.clone() }
}

fn key(code: u8, series: &str) -> Vec<u8> {
    format!("type{code},s={series}#!~#f").into_bytes()
}

#[tokio::test]
async fn a_real_server_reads_every_encoding_and_every_tombstone() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE made").await;
    influxd.write("made", &format!("any v=1 {START}\n")).await;
    influxd.stop();
    let shard = fs::read_dir(influxd.data_dir().join("made/autogen")).unwrap().next().unwrap().unwrap().path();

    let mut expected = Expected::new();
    let mut writer = TsmWriter::new(fs::File::create_new(shard.join("000000001-000000001.tsm")).unwrap());
    let mut all = blocks();
    all.sort_by_key(|made| key(made.code, &made.series));
    for Made { series, code, bytes, points } in all {
        writer.key(&key(code, &series), code);
        writer.block(points[0].0, points[points.len() - 1].0, &bytes);
        expected.insert(series, points);
    }
    writer.finish();

    // Servers since 1.4 read the second version wrongly, and delete nothing by it.
    for version in [1, 2, 3, 4] {
        let base = format!("00000000{}-000000001", version + 1);
        let points: Vec<i64> = (0..20).map(|index| START + index).collect();
        let values: Vec<i64> = (0..20).collect();
        let (stays, goes) = (format!("deleted-{version}-a"), format!("deleted-{version}-b"));
        let mut writer = TsmWriter::new(fs::File::create_new(shard.join(format!("{base}.tsm"))).unwrap());
        for series in [&stays, &goes] {
            writer.key_with_points(&key(1, series), &points, &Column::Integer(&values));
        }
        writer.finish();
        let (half, whole) = (key(1, &stays), key(1, &goes));
        let deleted = [(half.as_slice(), START + 5, START + 14), (whole.as_slice(), i64::MIN, i64::MAX)];
        fs::write(
            shard.join(format!("{base}.tombstone")),
            tombstone(version, if version == 1 { &deleted[1..] } else { &deleted }),
        )
        .unwrap();
        let remains = |index: &i64| matches!(version, 1 | 2) || !(5..=14).contains(index);
        expected.insert(
            stays,
            values.iter().filter(|index| remains(index)).map(|index| (START + index, json!(index))).collect(),
        );
        if version == 2 {
            expected.insert(goes, values.iter().map(|index| (START + index, json!(index))).collect());
        }
    }

    influxd.restart().await;
    let answered = answered(&influxd).await;
    for (series, points) in &expected {
        assert_eq!(answered.get(series), Some(points), "{series}");
    }
    assert_eq!(answered.len(), expected.len(), "the server answers nothing else");
}
