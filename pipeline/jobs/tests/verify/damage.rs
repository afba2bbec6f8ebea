//! Nights whose objects are gone, cut, or changed: which look finds it, and what it says.

use std::fs;

use jobs::verify::{Config, Extent};

use super::bench::{Bench, EXTENTS, NIGHT, assert_whole, damages, lines, only, shard};

#[tokio::test]
async fn a_whole_night_passes_every_look() {
    let (bench, _source) = Bench::with_shards(3).await;
    for extent in EXTENTS {
        let outcome = bench.verify(extent).await;
        assert_whole(&outcome, 4);
        let night = only(&outcome);
        assert_eq!((night.night.as_str(), &night.notes, night.recorded), (NIGHT, &Vec::new(), true), "{extent:?}");
        let stored: u64 = (1..=3)
            .map(shard)
            .chain([format!("{NIGHT}/shards/meta.00")])
            .map(|name| fs::metadata(bench.file(&name)).unwrap().len())
            .sum();
        assert_eq!((outcome.bytes, night.bytes), (stored, stored));
        assert!(
            outcome.summary().starts_with(&format!("{NIGHT}: 4 objects, {stored} bytes: whole\n")),
            "{}",
            outcome.summary()
        );
        // And without the files of the archive at hand, through the spool.
        assert_whole(&bench.verify_elsewhere(bench.config(extent)).await.unwrap(), 4);
        bench.assert_spool_is_empty();
    }
}

#[tokio::test]
async fn what_is_gone_or_cut_is_found_by_every_look_and_the_rest_is_looked_at_all_the_same() {
    let (bench, _source) = Bench::with_shards(5).await;
    fs::remove_file(bench.file(&shard(1))).unwrap();
    bench.damage(&shard(3), |bytes| bytes.truncate(bytes.len() - 512));
    bench.damage(&shard(4), |bytes| bytes.extend([0; 512]));
    bench.damage(&format!("{NIGHT}/shards/meta.00"), Vec::clear);
    for extent in EXTENTS {
        let outcome = bench.verify(extent).await;
        let found = damages(&outcome);
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [format!("{NIGHT}/shards/meta.00"), shard(1), shard(3), shard(4)], "{extent:?}");
        assert!(found[0].1.starts_with("it has 0 bytes instead of "), "{found:?}");
        assert_eq!(found[1].1, "it does not exist");
        assert!(found[2].1.starts_with("it has ") && found[2].1.contains(" bytes instead of "), "{found:?}");
        // The pool has two of them under other names, and those are damaged with them.
        assert_eq!((outcome.objects, outcome.failures.len(), outcome.pool.len()), (6, 6, 2));
        for (line, (name, what)) in outcome.failures.iter().zip(&found) {
            assert!(line.starts_with(&format!("{name} is damaged: {what} (")), "{line}");
        }
        assert!(outcome.summary().contains("bytes: 4 damaged\n"), "{}", outcome.summary());
    }
}

#[tokio::test]
async fn a_changed_byte_is_found_by_whoever_reads_it_and_its_file_is_named() {
    let (bench, _source) = Bench::with_shards(4).await;
    // Within a file, in the padding behind it, in a header, and in the metastore.
    bench.damage(&shard(1), |bytes| bytes[700] ^= 1);
    let cut = fs::metadata(bench.file(&shard(2))).unwrap().len() as usize - 1024;
    bench.damage(&shard(2), |bytes| bytes[cut - 1] ^= 1);
    bench.damage(&shard(3), |bytes| bytes[150] ^= 1);
    let meta = format!("{NIGHT}/shards/meta.00");
    bench.damage(&meta, |bytes| bytes[40] ^= 1);
    assert_whole(&bench.verify(Extent::Quick).await, 5);
    for extent in [Extent::Digests, Extent::Deep] {
        for elsewhere in [false, true] {
            let config = bench.config(extent);
            let outcome = match elsewhere {
                true => bench.verify_elsewhere(config).await.unwrap(),
                false => bench.verify_with(config).await.unwrap(),
            };
            let differs = "its SHA-256 is not that of the manifest";
            let expected = [
                (meta.clone(), differs.to_owned()),
                (shard(1), format!("{differs}; it is in 000000001-000000001.tsm")),
                (shard(2), format!("{differs}; its files are, so it is what lies between them")),
                (shard(3), format!("{differs}; no tar header at byte 0: its checksum is wrong")),
            ];
            let expected: Vec<(&str, &str)> =
                expected.iter().map(|(name, what)| (name.as_str(), what.as_str())).collect();
            assert_eq!(damages(&outcome), expected, "{extent:?}");
            bench.assert_spool_is_empty();
        }
    }
}

#[tokio::test]
async fn what_comes_damaged_is_read_again_since_another_copy_may_be_whole() {
    let (bench, _source) = Bench::with_shards(1).await;
    let (file, whole) = (bench.file(&shard(1)), fs::read(bench.file(&shard(1))).unwrap());
    bench.damage(&shard(1), |bytes| bytes[700] ^= 1);
    let mend = move |event: &jobs::Event<'_>| {
        if matches!(event, jobs::Event::Warning(text) if text.contains("reading it again")) {
            fs::write(&file, &whole).unwrap();
        }
    };
    let listener = super::bench::Listener::new(mend);
    let outcome = bench.verify_later(bench.config(Extent::Digests), 0, listener).await.unwrap();
    assert_whole(&outcome, 2);
    let [note] = &only(&outcome).notes[..] else { panic!("{outcome:?}") };
    assert!(note.starts_with(&shard(1)) && note.contains("came damaged once"), "{note}");
}

#[tokio::test]
async fn a_shard_that_has_no_room_in_the_spool_is_told_of_and_not_called_damaged() {
    let (bench, _source) = Bench::with_shards(2).await;
    let mut config = bench.config(Extent::Deep);
    config.place.spool_size = Some(2048);
    let outcome = bench.verify_elsewhere(config).await.unwrap();
    assert!(!outcome.is_damaged());
    assert_eq!((outcome.objects, outcome.failures.len()), (1, 2), "{outcome:?}");
    assert!(
        outcome.failures.iter().all(|line| line.contains("could not be looked at") && line.contains("--spool-size"))
    );
    bench.assert_spool_is_empty();
}

#[tokio::test]
async fn objects_that_nobody_names_are_told_and_shards_among_them_are_a_failure() {
    let (bench, _source) = Bench::with_shards(1).await;
    let leave = |name: &str| {
        let file = bench.file(&format!("{NIGHT}/{name}"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "left").unwrap();
    };
    leave("shards/notes.txt");
    leave("influxdb/cpu.json");
    let outcome = bench.verify(Extent::Quick).await;
    assert_whole(&outcome, 2);
    let notes = &only(&outcome).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("not named by the manifest: 2016-06-11/shards/notes.txt"), "{notes:?}");
    assert!(notes[1].contains("without a seal: 2016-06-11/influxdb/cpu.json"), "{notes:?}");

    // influxd would restore it with the others.
    leave("shards/sensu_db.default.00099.00");
    let outcome = bench.verify(Extent::Quick).await;
    let [failure] = outcome.failures.as_slice() else { panic!("{outcome:?}") };
    assert!(failure.contains("not named by the manifest: 2016-06-11/shards/sensu_db.default.00099.00"), "{failure}");
    assert!(!outcome.is_damaged());
}

#[tokio::test]
async fn a_damaged_shard_is_told_with_the_night_that_has_it_too() {
    let (bench, source) = Bench::with_shards(3).await;
    // Later the first shard is the same, the second has more points, and the third is in no other night of this source.
    bench.back_up(&source, "2016-06-09").await;
    source.statement("DROP SHARD 3").await;
    bench.back_up(&source, "2016-06-13").await;
    fs::remove_dir_all(bench.file("2016-06-09").parent().unwrap()).unwrap();
    source.write("sensu_db", &lines(2, 7).replace("host=a", "host=b")).await;
    bench.back_up(&source, "2016-06-14").await;
    let twin = test_support::Influxd::start().await;
    super::bench::fill(&twin, 3).await;
    bench.back_up(&twin, "2016-06-12").await;
    for id in 1..=3 {
        // Else it would be damaged in all nights that share it.
        bench.unshare(&shard(id));
        bench.damage(&shard(id), |bytes| bytes[700] ^= 1);
    }
    let config = Config { record: false, ..bench.config(Extent::Digests) };
    let outcome = bench.verify_with(config.clone()).await.unwrap();
    let hints = |outcome: &jobs::verify::Outcome| -> Vec<String> {
        only(outcome).damages.iter().map(|damage| damage.hint.clone()).collect()
    };
    let found = hints(&outcome);
    assert!(found[0].starts_with("2016-06-13/shards/sensu_db.default.00001.00 was the very same"), "{found:?}");
    assert!(found[1].starts_with("2016-06-13/shards/sensu_db.default.00002.00 was the very same"), "{found:?}");
    assert!(found[2].starts_with("no other night has this shard: back it up again"), "{found:?}");
    fs::remove_dir_all(bench.folder.path().join("archive/2016-06-13")).unwrap();
    let found = hints(&bench.verify_with(config).await.unwrap());
    assert!(found[0].starts_with("2016-06-14 has this shard too"), "{found:?}");
}
