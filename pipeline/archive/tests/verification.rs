//! Slices of a night, and what the record of its verifications remembers.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::manifest::Writer;
use archive::verification::{Verification, VerifyRecord};
use archive::{Error, Sample, Slice};
use chrono::{DateTime, NaiveDate};
use proptest::prelude::*;

fn sample(text: &str) -> Sample {
    text.parse().unwrap()
}

#[test]
fn a_sample_is_one_of_so_many_parts_and_else_refused_with_a_hint() {
    for text in ["1/1", "1/7", "1/366"] {
        assert_eq!(sample(text).to_string(), text);
    }
    for text in ["", "7", "1/", "1/0", "1/367", "2/7", "1/+7", "1/7 ", "1/99999999999999999999"] {
        let Err(Error::Usage { message, hint }) = text.parse::<Sample>() else { panic!("{text}") };
        assert!(message.contains("is no part of the whole") && hint.contains("1/7"), "{message}: {hint}");
    }
}

proptest! {
    #[test]
    fn in_as_many_days_as_there_are_slices_each_name_comes_once(
        name in ".{0,60}", of in 1_u64..40, first in -800_000_i32..800_000,
    ) {
        let sample: Sample = format!("1/{of}").parse().unwrap();
        let first = NaiveDate::from_num_days_from_ce_opt(first).unwrap();
        let days = first.iter_days().take(of as usize);
        prop_assert_eq!(days.filter(|day| sample.slice(*day).holds(&name)).count(), 1);
    }
}

#[test]
fn slices_are_of_like_size() {
    let day = NaiveDate::from_ymd_opt(2016, 6, 11).unwrap();
    for day in day.iter_days().take(7) {
        let slice = sample("1/7").slice(day);
        let held =
            (0..7000).filter(|id| slice.holds(&format!("2016-06-11/shards/sensu_db.default.{id:05}.00"))).count();
        assert!((850..1150).contains(&held), "{day}: {held} of 7000");
    }
}

#[test]
fn each_day_names_its_slice_as_it_always_did() {
    // Days and names of this table must not move to other slices with another version: somebody is in the middle of a week.
    let day = |text: &str| sample("1/7").slice(text.parse().unwrap()).number;
    assert_eq!([day("2016-06-11"), day("2016-06-12"), day("2016-06-13")], [6, 0, 1]);
    let names = ["2016-06-11/shards/meta.00", "2016-06-11/shards/sensu_db.default.00002.00"];
    let slices = names.map(|name| (0..7).find(|number| Slice { of: 7, number: *number }.holds(name)).unwrap());
    assert_eq!(slices, [1, 2]);
}

fn verification(extent: &str, slice: Option<(u64, u64)>, hour: u32) -> Verification {
    let at = format!("2016-06-12T{hour:02}:00:00Z").parse::<DateTime<chrono::Utc>>().unwrap();
    Verification {
        extent: extent.to_owned(),
        slice: slice.map(|(number, of)| Slice { of, number }),
        writer: Writer { program: "nightshard-verify".to_owned(), version: "0.0.0".to_owned() },
        host: "db1".to_owned(),
        started: at,
        finished: at,
        objects: 1,
        bytes: 1,
        damages: Vec::new(),
        unchecked: Vec::new(),
    }
}

/// What stands in a record, as `extent`, `extent number/of`.
fn listed(record: &VerifyRecord) -> Vec<String> {
    let of = |one: &Verification| {
        let slice = one.slice.map(|slice| format!(" {}/{}", slice.number, slice.of)).unwrap_or_default();
        format!("{}{slice} at {}", one.extent, one.started.format("%H"))
    };
    record.verifications.iter().map(of).collect()
}

#[test]
fn a_record_keeps_the_last_of_each_extent_and_the_slices_since() {
    let steps = [
        ("deep", None, "deep at 00"),
        ("quick", None, "deep at 00, quick at 01"),
        ("quick", None, "deep at 00, quick at 02"),
        ("deep", Some((3, 7)), "deep at 00, quick at 02, deep 3/7 at 03"),
        ("deep", Some((4, 7)), "deep at 00, quick at 02, deep 3/7 at 03, deep 4/7 at 04"),
        ("deep", Some((3, 7)), "deep at 00, quick at 02, deep 4/7 at 04, deep 3/7 at 05"),
        ("deep", Some((1, 2)), "deep at 00, quick at 02, deep 1/2 at 06"),
        ("digests", Some((1, 2)), "deep at 00, quick at 02, deep 1/2 at 06, digests 1/2 at 07"),
        ("deep", None, "quick at 02, digests 1/2 at 07, deep at 08"),
    ];
    let mut record = None;
    for (hour, (extent, slice, expected)) in (0..).zip(steps) {
        let next = VerifyRecord::with(record, Some("ab".to_owned()), verification(extent, slice, hour));
        assert_eq!(listed(&next).join(", "), expected);
        record = Some(next);
    }
}

#[test]
fn a_record_of_another_seal_is_forgotten() {
    let deep = VerifyRecord::with(None, Some("ab".to_owned()), verification("deep", None, 0));
    let quick = VerifyRecord::with(Some(deep), Some("cd".to_owned()), verification("quick", None, 1));
    assert_eq!((listed(&quick), quick.manifest_sha256), (vec!["quick at 01".to_owned()], Some("cd".to_owned())));
}
