//! A spool that may hold only so much: dumps wait for each other, sorted runs count, and one that is too large is named.

use std::fmt::Write as _;

use jobs::Kind;
use jobs::dump::{Compression, Config, Format};
use test_support::FolderWatch;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};

const MEASUREMENTS: [&str; 4] = ["a", "b", "c", "d"];

/// Four measurements of about 500 KB each, half of it at one instant.
async fn bench() -> Bench {
    let mut lines = String::new();
    for name in MEASUREMENTS {
        for number in 0..2500 {
            let time = MIDNIGHT + (number - 1250).max(0) * SECOND;
            writeln!(lines, "{name},h=h{number:05} s=\"{}\",v={number}i {time}", "x".repeat(120)).unwrap();
        }
    }
    Bench::with(&lines).await
}

fn config(bench: &Bench, spool_size: u64) -> Config {
    let mut config = bench.config(&MEASUREMENTS);
    config.place.spool_size = Some(spool_size);
    // Runs lie in the spool then.
    config.buffer_bytes = 200_000;
    config
}

async fn texts(bench: &Bench) -> Vec<String> {
    let mut texts = Vec::new();
    for name in MEASUREMENTS {
        texts.push(bench.text(&format!("{NIGHT}/influxdb/{name}_2016-06-11-00:00:00_2016-06-12-00:00:00.json")).await);
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_wait_for_room_and_the_spool_never_holds_more() {
    let bench = bench().await;
    let outcome = bench.dump(bench.config(&MEASUREMENTS)).await.unwrap();
    assert!(outcome.dumps.iter().all(|dump| dump.bytes > 400_000 && dump.spills == 0), "{outcome:?}");
    let expected = texts(&bench).await;
    // Room for the runs and the file of one dump, and for those of two and a half.
    for spool_size in [800_000, 1_900_000] {
        let watch = FolderWatch::start(&bench.spool());
        let outcome = bench.dump(config(&bench, spool_size)).await.unwrap();
        let most = watch.stop();
        assert!(outcome.dumps.iter().all(|dump| dump.spills > 0) && outcome.failures().is_empty(), "{outcome:?}");
        assert!(most <= spool_size, "{most} of {spool_size}");
        assert!(most > 450_000, "nothing was seen: {most}");
        assert!(texts(&bench).await == expected, "the bytes differ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_made_of_others_count_as_long_as_both_are_there() {
    let bench = bench().await;
    for (format, compression) in [(Format::Csv, None), (Format::Ndjson, Some(Compression::Zstd))] {
        let mut config = config(&bench, 1_500_000);
        (config.format, config.compression) = (format, compression);
        let watch = FolderWatch::start(&bench.spool());
        let outcome = bench.dump(config).await.unwrap();
        let most = watch.stop();
        assert_eq!((outcome.dumps.len(), outcome.failures()), (4, &[][..]));
        assert!((450_000..=1_500_000).contains(&most), "{most}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_larger_than_the_spool_may_be_is_named_and_the_others_are_made() {
    let bench = bench().await;
    bench.influxd.write("sensu_db", &format!("small v=1i {MIDNIGHT}\n")).await;
    let mut config = config(&bench, 300_000);
    config.measurements = vec!["a".to_owned(), "small".to_owned()];
    let watch = FolderWatch::start(&bench.spool());
    let outcome = bench.dump(config.clone()).await.unwrap();
    assert!(watch.stop() <= 300_000);
    let [failure] = outcome.failures() else { panic!("{outcome:?}") };
    assert!(failure.starts_with("cannot dump a of sensu_db.autogen: "), "{failure}");
    assert!(
        failure.contains("would not stay within --spool-size, 300000 bytes (give a larger --spool-size"),
        "{failure}"
    );
    assert_eq!(outcome.dumps[0].measurement, "small");
    config.measurements.truncate(1);
    assert_eq!(bench.dump(config).await.unwrap_err().kind(), Kind::Failed);
}
