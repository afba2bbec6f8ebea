//! Which night it is, and who says so.

use test_support::Influxd;

use super::bench::{Bench, fill, influx};

#[tokio::test]
async fn a_server_in_another_year_is_told_of_with_the_night_that_our_clock_decides() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let outcome = Bench::new().run(influx(&influxd)).await.unwrap();
    // The test says that it is the year 2016, and the server knows better.
    let [apart, decided] = outcome.clocks.as_slice() else { panic!("{outcome:?}") };
    assert!(apart.contains("this machine says 2016-06-11 21:55:0"), "{apart}");
    assert!(
        decided.starts_with("today is 2016-06-11, by the clock of this machine; by that of InfluxDB at "),
        "{decided}"
    );
    assert!(outcome.summary().contains(&format!("\nwarning: {apart}\nwarning: {decided}")), "{}", outcome.summary());
}
