//! A spool that may hold only so much: shards wait for each other, and one that is too large is named.

use std::fmt::Write as _;

use jobs::Kind;
use jobs::backup::Config;
use test_support::{FolderWatch, Influxd};

use super::bench::{Bench, influx};

/// Shards of about 300 KB each, of which the server knows only that they are in its log: what they need shows when
/// they come.
async fn fill(influxd: &Influxd, days: i64) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    for day in 0..days {
        let mut lines = String::new();
        for second in 0..600 {
            let time = 1_462_060_800_000_000_000 + (day * 86_400 + second) * 1_000_000_000;
            let noise: String = (0..500).map(|_| char::from(b'!' + rand::random::<u8>() % 90)).collect();
            let noise = noise.replace(['"', '\\'], "-");
            writeln!(lines, "cpu text=\"{noise}\" {time}").unwrap();
        }
        influxd.write("sensu_db", &lines).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_wait_for_room_and_the_spool_never_holds_more() {
    let influxd = Influxd::start().await;
    fill(&influxd, 8).await;
    // Room for one shard, for less than two, and for more than two.
    for spool_size in [400_000, 550_000, 900_000] {
        let bench = Bench::new();
        let mut config = Config { parallel: 4, ..bench.config() };
        config.place.spool_size = Some(spool_size);
        let watch = FolderWatch::start(&bench.spool());
        let outcome = bench.run_with(config, influx(&influxd)).await.unwrap();
        let most = watch.stop();
        assert_eq!(outcome.shards, 8);
        assert!(most <= spool_size, "{most} of {spool_size}");
        assert!(most > 200_000, "nothing was seen: {most}");
        bench.assert_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_larger_than_the_spool_may_be_is_named_with_what_came_of_it() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let mut config = bench.config();
    config.place.spool_size = Some(150_000);
    let watch = FolderWatch::start(&bench.spool());
    let error = bench.run_with(config, influx(&influxd)).await.unwrap_err();
    assert!(watch.stop() <= 150_000);
    assert_eq!(error.kind(), Kind::Failed);
    let text = error.to_string();
    assert!(text.starts_with("cannot take a snapshot of shard "), "{text}");
    assert!(text.contains(" of sensu_db.default: cannot write it into the spool: "), "{text}");
    assert!(text.ends_with("and more would not stay within --spool-size, 150000 bytes"), "{text}");
    let came: u64 = text.split("spool: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1..=150_000).contains(&came), "{text}");
    assert!(error.hint_text().unwrap().contains("a larger --spool-size"), "{error:?}");
    bench.assert_no_night().await;
}
