//! The formats of a dump, and their compression, read by other programs than ours.

use std::process::{Command, Stdio};

use archive::Date;
use jobs::dump::{Compression, Format};
use store::StoreExt;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};

const WINDOW: &str = "2016-06-11-00:00:00_2016-06-12-00:00:00";

async fn bench() -> Bench {
    let (second, last) = (MIDNIGHT + SECOND, MIDNIGHT + 1439 * 60 * SECOND);
    Bench::with(&format!(
        "m,host=a v=5,n=9007199254740993i,s=\"x, \\\"y\\\"\" {MIDNIGHT}\nm,zone=z v=1e-7,up=true {second}\nlate v=1 {last}\n"
    ))
    .await
}

/// What a program makes of bytes.
fn through(program: &str, arguments: &[&str], bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const RECORDS: [&str; 2] = [
    r#"{"time":"2016-06-11T00:00:00Z","host":"a","n":9007199254740993,"s":"x, \"y\"","v":5.0}"#,
    r#"{"time":"2016-06-11T00:00:01Z","up":true,"v":1e-7,"zone":"z"}"#,
];
const ROWS: &str = "time,host,n,s,up,v,zone\r\n2016-06-11T00:00:00Z,a,9007199254740993,\"x, \"\"y\"\"\",,5.0,\r\n\
                    2016-06-11T00:00:01Z,,,,true,1e-7,z\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_format_has_the_same_values_in_its_own_shape() {
    let bench = bench().await;
    let lines = format!("{}\n{}\n", RECORDS[0], RECORDS[1]);
    let pages = format!("[{}]\n[{}]\n", RECORDS[0], RECORDS[1]);
    for (format, end, text, pages) in [
        (Format::Json, "json", pages.as_str(), 2),
        (Format::Ndjson, "ndjson", lines.as_str(), 0),
        (Format::Csv, "csv", ROWS, 0),
    ] {
        for (compression, suffix, program) in [
            (None, "", None),
            (Some(Compression::Gzip), ".gz", Some(("gzip", "-dc"))),
            (Some(Compression::Zstd), ".zst", None),
        ] {
            let mut config = bench.config(&["m"]);
            (config.format, config.compression, config.page_size) = (format, compression, 1);
            config.output = Some(bench.folder.path().join("out"));
            let outcome = bench.dump(config).await.unwrap();
            let file = format!("m_{WINDOW}.{end}{suffix}");
            let object = format!("{NIGHT}/influxdb/{file}");
            assert_eq!(outcome.dumps[0].object.as_ref(), Some(&object));
            let bytes = bench.store.get_bytes(NIGHT, &object, u64::MAX).await.unwrap();
            assert_eq!(std::fs::read(outcome.dumps[0].file.as_ref().unwrap()).unwrap(), bytes);
            let read = match (compression, program) {
                (_, Some((program, flag))) => through(program, &[flag], &bytes),
                (None, _) => String::from_utf8(bytes.to_vec()).unwrap(),
                // No program of that name need be here: the library that made it reads it.
                _ => String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
            };
            assert_eq!(read, text, "{file}");

            use sha2::Digest as _;
            let seal = bench.seal_of(NIGHT, &file).await;
            assert_eq!((seal.encoding.as_str(), seal.pages, seal.records), (end, pages, 2));
            assert_eq!((seal.bytes, seal.sha256), (bytes.len() as u64, hex::encode(sha2::Sha256::digest(&bytes))));
            let content = compression.map(|_| (text.len() as u64, hex::encode(sha2::Sha256::digest(text))));
            assert_eq!(seal.content_bytes.zip(seal.content_sha256), content);
            assert_eq!(seal.compression, compression.map(|compression| compression.to_string()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_dump_is_completed_in_its_own_format() {
    for (format, compression) in [
        (Format::Csv, None),
        (Format::Csv, Some(Compression::Gzip)),
        (Format::Ndjson, Some(Compression::Zstd)),
        (Format::Json, Some(Compression::Gzip)),
    ] {
        let bench = bench().await;
        let mut config = bench.config(&["m"]);
        (config.format, config.compression) = (format, compression);
        let object = bench.dump(config).await.unwrap().dumps[0].object.clone().unwrap();
        // A field comes that the CSV had no column for, and the record with the other columns goes.
        let last = MIDNIGHT + 86_399 * SECOND;
        bench.influxd.query("sensu_db", "DELETE FROM m WHERE host = 'a'").await;
        bench.influxd.write("sensu_db", &format!("m,zone=z late=\"yes\" {last}\n")).await;
        bench.load("2016-06-12").await;
        let mut next = bench.config(&["late"]);
        next.date = Date::Day("2016-06-12".parse().unwrap()).into();
        let outcome = bench.dump(next).await.unwrap();
        assert_eq!((outcome.completed.len(), outcome.failures().len()), (1, 1), "{outcome:?}");
        let bytes = bench.store.get_bytes(NIGHT, &object, u64::MAX).await.unwrap();
        let text = match compression {
            None => String::from_utf8(bytes.to_vec()).unwrap(),
            Some(Compression::Gzip) => through("gzip", &["-dc"], &bytes),
            Some(Compression::Zstd) => String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
        };
        let late = r#"{"time":"2016-06-11T23:59:59Z","late":"yes","zone":"z"}"#;
        let expected = match format {
            Format::Json => format!("[{},{},{late}]\n", RECORDS[0], RECORDS[1]),
            Format::Ndjson => format!("{}\n{}\n{late}\n", RECORDS[0], RECORDS[1]),
            Format::Csv => "time,host,late,n,s,up,v,zone\r\n\
                 2016-06-11T00:00:00Z,a,,9007199254740993,\"x, \"\"y\"\"\",,5.0,\r\n\
                 2016-06-11T00:00:01Z,,,,,true,1e-7,z\r\n2016-06-11T23:59:59Z,,yes,,,,,z\r\n"
                .to_owned(),
        };
        assert_eq!(text, expected, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_records_has_no_object_in_any_format() {
    let bench = Bench::with(&format!("m v=1 {}\n", MIDNIGHT - 1)).await;
    for compression in [None, Some(Compression::Gzip)] {
        let mut config = bench.config(&["m"]);
        (config.format, config.compression) = (Format::Csv, compression);
        let outcome = bench.dump(config).await.unwrap();
        assert_eq!((outcome.dumps[0].records, outcome.dumps[0].object.as_ref()), (0, None));
    }
}
