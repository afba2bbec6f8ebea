//! Which nights are verified: one, several, all; and what is none.

use std::fs;
use std::path::Path;

use archive::names;
use jobs::Kind;
use jobs::verify::{Config, Extent, Which};

use super::bench::{Bench, NIGHT, assert_whole, calendar, damages, only};

fn of(bench: &Bench, dates: &str) -> Config {
    Config { nights: Which::Dates(dates.parse().unwrap()), ..bench.config(Extent::Digests) }
}

/// Copies a night under another name, as if it had been backed up so.
fn copy(bench: &Bench, container: &str) {
    fn all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                all(&entry.path(), &to.join(entry.file_name()));
            } else {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    all(&bench.file(NIGHT), &bench.file(container));
    bench.damage(&names::backup_manifest(container), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let (day, _) = container.split_once('_').unwrap_or((container, ""));
        let text = text.replace("2016-06-11/", &format!("{container}/"));
        let text = text.replace("\"container\": \"2016-06-11\"", &format!("\"container\": \"{container}\""));
        *bytes = text.replace("\"night\": \"2016-06-11\"", &format!("\"night\": \"{day}\"")).into_bytes();
    });
}

#[tokio::test]
async fn a_night_that_does_not_exist_is_none_and_of_all_nights_those_that_are_not_sealed() {
    let (bench, _source) = Bench::with_shards(1).await;
    let error = bench.verify_with(of(&bench, "2016-06-10")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert!(error.to_string().contains("there is no backup in 2016-06-10"), "{error}");
    // With its records, as others leave one.
    fs::remove_dir_all(bench.file(&names::manifests_prefix(NIGHT))).unwrap();
    let all = Config { nights: Which::All, ..bench.config(Extent::Quick) };
    let error = bench.verify_with(all).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{error}");
    assert!(error.hint_text().unwrap().contains("--container"), "{error}");
}

#[tokio::test]
async fn of_several_days_those_without_a_night_are_named_and_do_not_keep_the_others() {
    let (bench, _source) = Bench::with_shards(1).await;
    copy(&bench, "2016-06-13");
    let outcome = bench.verify_with(of(&bench, "2016-06-10..2016-06-13")).await.unwrap();
    let nights: Vec<&str> = outcome.nights.iter().map(|night| night.night.as_str()).collect();
    assert_eq!(nights, ["2016-06-11", "2016-06-13"]);
    assert!(!outcome.is_damaged());
    assert_eq!(outcome.failures.len(), 2, "{outcome:?}");
    assert!(outcome.failures[0].starts_with("2016-06-10: there is no backup in"), "{outcome:?}");
    assert!(outcome.failures[1].starts_with("2016-06-12: "), "{outcome:?}");
    let error = bench.verify_with(of(&bench, "2015-06")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
}

#[tokio::test]
async fn a_night_that_has_lost_its_seal_is_not_passed_over() {
    let (bench, _source) = Bench::with_shards(1).await;
    copy(&bench, "2016-06-12");
    // It was verified once, which others than nightshard-backup do not leave word of.
    bench.verify_with(of(&bench, "2016-06-12")).await.unwrap();
    fs::remove_file(bench.file(&names::backup_manifest("2016-06-12"))).unwrap();
    for extent in super::bench::EXTENTS {
        let outcome = bench.verify_with(Config { nights: Which::All, ..bench.config(extent) }).await.unwrap();
        let lost = outcome.failures.iter().filter(|failure| failure.contains("shards lie there without a seal"));
        assert_eq!((lost.count(), outcome.is_damaged()), (1, false), "{outcome:?}");
    }
}

#[tokio::test]
async fn all_are_those_that_are_sealed_with_any_label_or_the_one_that_is_asked_for() {
    let (bench, _source) = Bench::with_shards(1).await;
    for container in ["2016-06-12", "2016-06-12_before-upgrade", "2016-06-14"] {
        copy(&bench, container);
    }
    fs::remove_dir_all(bench.file(&names::manifests_prefix("2016-06-14"))).unwrap();
    fs::create_dir_all(bench.folder.path().join("archive/music")).unwrap();
    bench.damage("2016-06-12/shards/meta.00", |bytes| bytes[40] ^= 1);
    let all = Config { nights: Which::All, ..bench.config(Extent::Digests) };
    let outcome = bench.verify_with(all.clone()).await.unwrap();
    let mut nights: Vec<&str> = outcome.nights.iter().map(|night| night.night.as_str()).collect();
    nights.sort_unstable();
    assert_eq!(nights, ["2016-06-11", "2016-06-12", "2016-06-12_before-upgrade"]);
    assert_eq!(damages(&outcome).len(), 1);
    assert_eq!((outcome.objects, outcome.bytes), (6, outcome.nights.iter().map(|night| night.bytes).sum()));
    let mut labelled = all;
    labelled.calendar.pattern = labelled.calendar.pattern.labelled(Some("before-upgrade".parse().unwrap()));
    let outcome = bench.verify_with(labelled).await.unwrap();
    assert_eq!(only(&outcome).night, "2016-06-12_before-upgrade");
    assert_whole(&outcome, 2);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_damage_and_one_of_a_newer_version_is_not() {
    let (bench, _source) = Bench::with_shards(1).await;
    copy(&bench, "2016-06-12");
    let manifest = names::backup_manifest("2016-06-12");
    let all = Config { nights: Which::All, ..bench.config(Extent::Digests) };
    let write = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        bench.damage(&manifest, move |bytes| {
            *bytes = String::from_utf8(bytes.clone()).unwrap().replace(&from, &to).into()
        });
    };
    write("\"databases\"", "\"data\u{0}\"");
    let outcome = bench.verify_with(all.clone()).await.unwrap();
    let [(object, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert_eq!(object, manifest);
    assert!(what.contains("cannot be read"), "{what}");
    assert_eq!(outcome.objects, 2, "the other night was verified");
    let single = bench.verify_with(of(&bench, "2016-06-12")).await.unwrap();
    assert_eq!((damages(&single).len(), only(&single).manifest_sha256.clone()), (1, None));

    write("\"data\u{0}\"", "\"databases\"");
    write("nightshard-archive/1", "nightshard-archive/2");
    let outcome = bench.verify_with(all).await.unwrap();
    assert!(!outcome.is_damaged(), "{outcome:?}");
    assert!(outcome.failures[0].starts_with("2016-06-12: ") && outcome.failures[0].contains("nightshard-archive/2"));
    let error = bench.verify_with(of(&bench, "2016-06-12")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    // One that belongs to another night tells nothing of this one.
    write("nightshard-archive/2", "nightshard-archive/1");
    write("2016-06-12", "2016-06-11");
    let outcome = bench.verify_with(of(&bench, "2016-06-12")).await.unwrap();
    assert!(damages(&outcome)[0].1.contains("is the manifest of 2016-06-11, not of 2016-06-12"), "{outcome:?}");
}

#[tokio::test]
async fn a_night_that_counts_its_days_otherwise_is_refused() {
    let (bench, _source) = Bench::with_shards(1).await;
    let mut config = bench.config(Extent::Quick);
    config.calendar = archive::Calendar { time_zone: chrono_tz::Europe::Berlin, ..calendar() };
    let error = bench.verify_with(config).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint_text().unwrap().contains("--timezone UTC"), "{error}");
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_does_so_and_writes_nothing_down() {
    let (bench, _source) = Bench::with_shards(3).await;
    for extent in super::bench::EXTENTS {
        let config = bench.config(extent);
        let interrupt = config.interrupt.clone();
        let listener = super::bench::Listener::new(move |event: &jobs::Event<'_>| {
            if matches!(event, jobs::Event::Done { .. }) {
                interrupt.request();
            }
        });
        let error = jobs::verify::run(config, super::bench::now(), bench.elsewhere(), listener).await.unwrap_err();
        assert_eq!(error.to_string(), "interrupted", "{extent:?}");
        assert!(!bench.file(&names::verify_record(NIGHT)).exists());
        bench.assert_spool_is_empty();
    }
    assert_whole(&bench.verify(Extent::Deep).await, 4);
}
