//! What is refused at once: nothing was asked of a server then, nothing waited for, nothing written.

use std::sync::Arc;

use jobs::dump::{self, Config};
use jobs::{Error, Kind};

use crate::bench::{Bench, now};

/// The error of a dump that no server hears of.
async fn refused(bench: &Bench, config: Config, archive: bool) -> Error {
    let nobody = bench.influx_at("http://127.0.0.1:1");
    let store = archive.then(|| Arc::clone(&bench.store));
    dump::run(config, now(), store, dump::Reading::Influx(Box::new(nobody)), Arc::new(())).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_which_nothing_would_be_kept_is_refused() {
    let bench = Bench::start().await;
    for (archive, upload, message, hint) in [
        (true, false, "nothing would be kept of the dump", "--output"),
        (false, false, "nothing would be kept of the dump", "--output"),
        (false, true, "cannot upload a dump without an archive", "--no-upload"),
    ] {
        let mut config = bench.config(&["m"]);
        config.upload = upload;
        let error = refused(&bench, config, archive).await;
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Usage, message));
        assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_without_a_name_is_refused() {
    let bench = Bench::start().await;
    let error = refused(&bench, bench.config(&["m", ""]), true).await;
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Usage, "a measurement has no name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_measurements_of_which_the_dumps_would_have_one_name_are_refused() {
    let bench = Bench::start().await;
    let long = "m".repeat(200);
    // A name that is too long is cut; another one may be called like what comes of that.
    let of = archive::DumpOf { database: "", retention_policy: "", measurement: &long };
    let cut = archive::DumpName::default().stem(of);
    let error = refused(&bench, bench.config(&[&long, "m", &cut]), true).await;
    let message = format!("the dumps of {long} and {cut} would have the same name");
    assert_eq!((error.kind(), error.to_string()), (Kind::Usage, message));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_outside_of_the_time_of_influxdb_is_refused() {
    let bench = Bench::start().await;
    for day in ["0001-01-01", "1677-09-20", "2262-04-12", "9999-12-31"] {
        let mut config = bench.config(&["m"]);
        config.date = archive::Date::Day(day.parse().unwrap()).into();
        let error = refused(&bench, config, true).await;
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.to_string(), format!("InfluxDB cannot hold points of the day {day}"));
        assert!(error.hint_text().unwrap().contains("to 2262-04-11 23:47:16.854775806 UTC"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_no_folder_or_cannot_be_written_is_refused() {
    let bench = Bench::start().await;
    let file = bench.folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    // Not even root may write to /proc.
    for output in [file.clone(), file.join("below"), "/proc".into(), "/proc/nightshard".into()] {
        let mut config = bench.config(&["m"]);
        config.output = Some(output.clone());
        let error = refused(&bench, config, true).await;
        assert_eq!(error.kind(), Kind::Usage);
        let message = format!("cannot write copies to the folder {}: ", output.display());
        assert!(error.to_string().starts_with(&message), "{error}");
        assert!(error.hint_text().unwrap().contains("--output"), "{error:?}");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
}
