//! Dumps that flow to stdout.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::archives::{DAYS, back_up, command, dump, fetch, files, production, stored, text, two_nights};
use crate::night::Place;

fn records(lines: &[u8]) -> Vec<Value> {
    let pages = serde_json::Deserializer::from_slice(lines).into_iter::<Vec<Value>>();
    pages.flat_map(|page| page.unwrap()).collect()
}

async fn dumps_flow_in_order(place: Place) {
    two_nights(&place).await;
    let output = fetch(&place, &["--dumps", "--date", "2016-06", "--stdout", "--jobs", "3"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Of each night first cpu and then mem, which is compressed in the archive.
    let all = records(&output.stdout);
    let shown: Vec<(i64, bool)> = all
        .iter()
        .map(|record| (record["load"].as_i64().or(record["free"].as_i64()).unwrap(), record["load"].is_i64()))
        .collect();
    let hours = |day: i64, is_cpu: bool| (day * 24..(day + 1) * 24).map(move |hour| (hour, is_cpu));
    let expected: Vec<_> = hours(0, true).chain(hours(0, false)).chain(hours(1, true)).chain(hours(1, false)).collect();
    assert_eq!(shown, expected);
    // The summary is talk.
    assert!(
        text(&output.stderr).contains("4 dumps, ") && text(&output.stderr).contains("read into stdout"),
        "{output:?}"
    );
    let output = fetch(&place, &["--measurement", "cpu", "--date", "2016-06-12", "--stdout", "--quiet"]).await;
    let name = |name: &&String| name.contains("/influxdb/cpu");
    let stored = tokio::task::block_in_place(|| stored(&place, &["2016-06-12"]));
    assert!(output.stdout == stored[stored.keys().find(name).unwrap()] && output.stderr.is_empty(), "{output:?}");
    assert!(files(&place.path("spool")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_flow_in_order_from_a_folder() {
    dumps_flow_in_order(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_flow_in_order_from_swift() {
    dumps_flow_in_order(Place::swift_version1()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_seen_enough_ends_it_well() {
    let (place, source) = (Place::folder(), production().await);
    // More than a pipe holds.
    let line = |number: i64| format!("wide,host=a text=\"{}\" {}000000000\n", "x".repeat(900), 1_465_600_000 + number);
    source.write("sensu_db", &(0..2000).map(line).collect::<String>()).await;
    back_up(&place, &source, &["--date", "2016-06-11"]).await;
    dump(&place, &["cpu", "wide", "--date", "2016-06-11"]).await;
    let mut flow = command(&place, &["--dumps", "--date", "2016-06-11", "--stdout"]);
    tokio::task::block_in_place(|| {
        let mut child = flow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Value>>(&first).unwrap().len(), 24);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    });
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = tokio::task::block_in_place(|| flow.stdout(full).output().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("to stdout: "), "{output:?}");
    assert!(files(&place.path("spool")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_damaged_leaves() {
    let place = Place::folder();
    two_nights(&place).await;
    let whole = stored(&place, &DAYS);
    let damaged = whole.keys().find(|name| name.contains("2016-06-11/influxdb/cpu")).unwrap();
    let mut bytes = whole[damaged].clone();
    bytes[10] ^= 1;
    fs::write(place.path("archive/2016-06-11").join(damaged), &bytes).unwrap();
    let output = fetch(&place, &["--measurement", "cpu", "--date", "2016-06", "--stdout"]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert_eq!(records(&output.stdout).len(), 24, "only those of the second day");
    assert!(text(&output.stderr).contains("its SHA-256 is not that of its seal"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_spool_is_waited_for_and_one_that_is_too_small_is_said() {
    let (place, source) = (Place::folder(), production().await);
    let mut random = 7_u64;
    let mut line = |measurement: &str, number: i64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{measurement},host=a v={random}u,w={}i {}000000000\n", random >> 1, 1_465_600_000 + number)
            .replace('u', "")
    };
    for measurement in ["a", "b", "c", "d", "e"] {
        let lines: String = (0..8000).map(|number| line(measurement, number)).collect();
        source.write("sensu_db", &lines).await;
    }
    let big: String = (0..20_000).map(|number| line("big", number)).collect();
    source.write("sensu_db", &big).await;
    back_up(&place, &source, &["--date", "2016-06-11"]).await;
    dump(&place, &["a", "b", "c", "d", "e", "big", "--date", "2016-06-11"]).await;
    let output =
        fetch(&place, &["--measurement", "?", "--date", "2016-06-11", "--stdout", "--spool-size", "1MiB"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(records(&output.stdout).len(), 5 * 8000);
    let output = fetch(&place, &["--dumps", "--date", "2016-06-11", "--stdout", "--spool-size", "1MiB"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    assert!(text(&output.stderr).contains("hint: give a larger --spool-size"), "{output:?}");
}
