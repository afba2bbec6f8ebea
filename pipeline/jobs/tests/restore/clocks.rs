//! Which night is restored, and who says so.

use test_support::Influxd;

use crate::bench::{Bench, fill};

#[tokio::test]
async fn a_server_in_another_year_is_told_of_with_the_night_that_our_clock_decides() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let outcome = bench.restore(&target).await.unwrap();
    // The test says that it is the year 2016, and the server knows better.
    let [apart, decided] = outcome.clocks.as_slice() else { panic!("{outcome:?}") };
    assert!(apart.contains("this machine says 2016-06-12 00:15:0"), "{apart}");
    assert!(
        decided.starts_with("yesterday is 2016-06-11, by the clock of this machine; by that of InfluxDB at "),
        "{decided}"
    );
    assert!(outcome.summary().contains(&format!("\nwarning: {apart}\nwarning: {decided}")), "{}", outcome.summary());
}
