//! Nights that were downloaded, or lie in a folder of their own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use archive::names;
use jobs::verify::{self, Extent, Outcome};
use jobs::{Error, Kind};

use super::bench::{Bench, EXTENTS, NIGHT, assert_whole, damages, now, only, shard};

async fn look(bench: &Bench, path: &Path, extent: Extent) -> Result<Outcome, Error> {
    verify::folder(bench.config(extent), path, now(), Arc::new(())).await
}

#[tokio::test]
async fn a_night_is_found_by_its_folder_or_the_one_above_whatever_they_are_called() {
    let (bench, _source) = Bench::with_shards(2).await;
    let downloaded = bench.folder.path().join("downloaded");
    fs::create_dir_all(&downloaded).unwrap();
    fs::rename(bench.file(NIGHT), downloaded.join("the night before the upgrade")).unwrap();
    for path in [downloaded.clone(), downloaded.join("the night before the upgrade")] {
        for extent in EXTENTS {
            let outcome = look(&bench, &path, extent).await.unwrap();
            assert_whole(&outcome, 3);
            let night = only(&outcome);
            assert!(night.night.ends_with("downloaded/the night before the upgrade"), "{}", night.night);
            assert_eq!((night.recorded, &night.notes), (false, &Vec::new()), "{extent:?}");
            assert!(night.manifest_sha256.is_some());
        }
    }
    let found = downloaded.join("the night before the upgrade");
    assert!(!found.join("manifests/verify.json").exists(), "a copy is no archive");
    bench.assert_spool_is_empty();

    let name = found.join("shards/sensu_db.default.00001.00");
    let mut bytes = fs::read(&name).unwrap();
    bytes[700] ^= 1;
    fs::write(&name, bytes).unwrap();
    fs::remove_file(found.join("shards/sensu_db.default.00002.00")).unwrap();
    for (extent, count) in [(Extent::Quick, 1), (Extent::Digests, 2), (Extent::Deep, 2)] {
        let outcome = look(&bench, &found, extent).await.unwrap();
        assert_eq!(damages(&outcome).len(), count, "{outcome:?}");
        let last = only(&outcome).damages.last().unwrap();
        assert_eq!((last.object.as_str(), last.what.as_str()), (shard(2).as_str(), "it does not exist"));
        assert!(last.hint.starts_with("fetch it again"), "{last:?}");
    }
}

#[tokio::test]
async fn a_container_of_an_archive_of_files_is_a_folder_too() {
    let (bench, _source) = Bench::with_shards(1).await;
    let container = bench.folder.path().join("archive").join(NIGHT);
    assert_whole(&look(&bench, &container, Extent::Deep).await.unwrap(), 2);
}

#[tokio::test]
async fn shards_without_their_manifest_are_looked_into_as_influxd_left_them() {
    let (bench, _source) = Bench::with_shards(2).await;
    fs::remove_file(bench.file(&names::backup_manifest(NIGHT))).unwrap();
    for path in
        [bench.file(NIGHT), bench.file(&format!("{NIGHT}/shards")), bench.file(NIGHT).parent().unwrap().to_owned()]
    {
        let outcome = look(&bench, &path, Extent::Digests).await.unwrap();
        assert_whole(&outcome, 3);
        let notes = only(&outcome).notes.join("; ");
        assert!(notes.contains("no digests"), "{notes}");
        assert_eq!(notes.contains("there is no manifest"), !path.ends_with("shards"), "{notes}");
    }
}

#[tokio::test]
async fn what_holds_no_night_or_several_is_refused_with_what_to_do() {
    let (bench, source) = Bench::with_shards(1).await;
    bench.back_up(&source, "2016-06-12").await;
    let empty = bench.folder.path().join("empty");
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join("notes.txt"), "nothing").unwrap();
    let error = look(&bench, &empty, Extent::Quick).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert!(error.hint_text().unwrap().contains("influxd backup"), "{error}");
    let error = look(&bench, &bench.folder.path().join("gone"), Extent::Quick).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    let error = look(&bench, &empty.join("notes.txt"), Extent::Quick).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("is no folder")), (Kind::Usage, true), "{error}");
    let archive = bench.folder.path().join("archive");
    let error = look(&bench, &archive, Extent::Quick).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint_text().unwrap().contains(&format!("--archive file://{} ", archive.display())), "{error:?}");
}

#[tokio::test]
async fn a_seal_that_cannot_be_read_is_damage_here_too() {
    let (bench, _source) = Bench::with_shards(1).await;
    fs::write(bench.file(&names::backup_manifest(NIGHT)), "{").unwrap();
    let outcome = look(&bench, &bench.file(NIGHT), Extent::Deep).await.unwrap();
    let [(object, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert_eq!(object, names::backup_manifest(NIGHT));
    assert!(what.contains("cannot be read"), "{what}");
}
