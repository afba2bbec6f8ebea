//! A night that is backed up again while it is looked at.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use archive::names;
use jobs::verify::Extent;
use jobs::{Event, Kind};

use super::bench::{Bench, EXTENTS, Listener, NIGHT, assert_whole, lines, only};

/// A bench with a night, and beside the archive what another backup of that night left.
async fn two_backups() -> Bench {
    let (bench, source) = Bench::with_shards(2).await;
    fs::rename(bench.file(NIGHT), bench.folder.path().join("first")).unwrap();
    source.write("sensu_db", &lines(2, 3).replace("host=a", "host=b")).await;
    bench.back_up(&source, NIGHT).await;
    fs::rename(bench.file(NIGHT), bench.folder.path().join("second")).unwrap();
    fs::rename(bench.folder.path().join("first"), bench.file(NIGHT)).unwrap();
    bench
}

/// Puts the other backup in the place of the night once it is time.
fn replacing(
    bench: &Bench,
    is_time: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static,
) -> Arc<Listener<impl Fn(&Event<'_>) + Send + Sync + 'static>> {
    let (night, second) = (bench.file(NIGHT), bench.folder.path().join("second"));
    Listener::new(move |event: &Event<'_>| {
        if is_time(event) && second.exists() {
            fs::remove_dir_all(&night).unwrap();
            fs::rename(&second, &night).unwrap();
        }
    })
}

#[tokio::test]
async fn a_night_that_is_replaced_meanwhile_is_not_called_damaged() {
    for extent in EXTENTS {
        let bench = two_backups().await;
        let before = fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap();
        // Its manifest has been read, and none of its objects.
        let listener = replacing(&bench, |event| matches!(event, Event::Planned { .. }));
        let progress = Arc::<Listener<_>>::clone(&listener);
        let outcome = bench.verify_later(bench.config(extent), 0, progress).await.unwrap();
        assert_whole(&outcome, 3);
        let said = listener.said.lock().unwrap();
        assert!(said.iter().any(|line| line.contains("was replaced while it was verified")), "{said:?}");
        let sha256 = hex::encode(store::Digests::of(&before, None).sha256);
        assert_ne!(only(&outcome).manifest_sha256, Some(sha256), "the new one was verified");
    }
}

#[tokio::test]
async fn a_night_that_is_replaced_after_its_last_object_was_whole_is_looked_at_once_more() {
    for extent in EXTENTS {
        let bench = two_backups().await;
        let after = fs::read(bench.folder.path().join("second/manifests/backup.json")).unwrap();
        let done = AtomicU32::new(0);
        let is_last =
            move |event: &Event<'_>| matches!(event, Event::Done { .. }) && done.fetch_add(1, Ordering::SeqCst) == 2;
        let listener = replacing(&bench, is_last);
        let progress = Arc::<Listener<_>>::clone(&listener);
        let outcome = bench.verify_later(bench.config(extent), 0, progress).await.unwrap();
        assert_whole(&outcome, 3);
        let said = listener.said.lock().unwrap();
        assert_eq!(said.iter().filter(|line| line.contains("Done")).count(), 6, "{said:?}");
        let sha256 = hex::encode(store::Digests::of(&after, None).sha256);
        assert_eq!(only(&outcome).manifest_sha256, Some(sha256.clone()), "the new one was verified");
        let record = fs::read_to_string(bench.file(&names::verify_record(NIGHT))).unwrap();
        assert!(record.contains(&sha256), "{record}");
    }
}

#[tokio::test]
async fn a_night_whose_seal_goes_meanwhile_is_none() {
    let bench = two_backups().await;
    let night = bench.file(NIGHT);
    let looks = AtomicU32::new(0);
    let listener = Listener::new(move |event: &Event<'_>| {
        if matches!(event, Event::Planned { .. }) && looks.fetch_add(1, Ordering::SeqCst) == 0 {
            fs::remove_file(night.join("manifests/backup.json")).unwrap();
            fs::remove_file(night.join("shards/meta.00")).unwrap();
        }
    });
    let error = bench.verify_later(bench.config(Extent::Quick), 0, listener).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{error}");
}
