//! Directories that are set aside and come back, wherever a run is cut off.

use super::super::target::meta_db;
use super::*;
use influx::metastore::{Database, Policy, Shard, ShardGroup};
use tempfile::TempDir;

/// A metastore with one shard in each database.
fn metastore(databases: &[&str], shard: u64) -> Data {
    let database = |name: &&str| {
        let shards = vec![Shard { id: shard, ..Shard::default() }];
        let shard_groups = vec![ShardGroup { shards, ..ShardGroup::default() }];
        let policies = vec![Policy { name: "p".to_owned(), shard_groups, ..Policy::default() }];
        Database { name: (*name).to_owned(), policies, ..Database::default() }
    };
    Data { cluster_id: 7, databases: databases.iter().map(database).collect(), ..Data::default() }
}

fn old_metastore() -> Data {
    metastore(&["other", "nightshard", "a", "b"], 1)
}

fn new_metastore() -> Data {
    metastore(&["other", "nightshard", "a", "b", "c"], 2)
}

/// Two databases and a loaded record, one of them without a log.
fn old_state() -> (TempDir, Paths) {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let paths = Paths { meta: path("meta"), data: path("data"), wal: path("wal") };
    for folder in ["data/a", "data/b", "data/nightshard", "wal/a", "wal/nightshard", "meta"] {
        fs::create_dir_all(path(folder)).unwrap();
        fs::write(path(folder).join("file"), "old").unwrap();
    }
    fs::write(meta_db(&paths), old_metastore().to_meta_db()).unwrap();
    (root, paths)
}

fn exchange(paths: &Paths, drop_first: bool) -> Aside {
    let databases = ["nightshard", "a", "b", "c"].map(str::to_owned).to_vec();
    let owner = Owner::of(&paths.data).unwrap();
    let container = "2016-06-11".to_owned();
    let exchange = Exchange { container, databases, stored_as: None, drop_first, recovered: None };
    let aside = Aside::set(paths, owner, exchange).unwrap();
    for name in ["a", "b", "c"] {
        fs::create_dir(paths.data.join(name)).unwrap();
        fs::write(paths.data.join(name).join("file"), "new").unwrap();
    }
    aside
}

/// What lies where the server looks, as `data/a=old`; nothing of ours is left beside it.
fn state(paths: &Paths) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, directory) in [("data", &paths.data), ("wal", &paths.wal)] {
        for entry in fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let text = fs::read_to_string(directory.join(&name).join("file")).unwrap_or_default();
            found.push(format!("{kind}/{name}={text}"));
        }
    }
    remove_staged(paths).unwrap();
    assert!(!paths.data.join(FOLDER).exists() && !paths.wal.join(FOLDER).exists());
    found.retain(|line| !line.contains(FOLDER));
    found.sort();
    found
}

const OLD: [&str; 5] = ["data/a=old", "data/b=old", "data/nightshard=old", "wal/a=old", "wal/nightshard=old"];
const NEW: [&str; 3] = ["data/a=new", "data/b=new", "data/c=new"];

#[test]
fn the_old_state_comes_back_wherever_putting_it_back_was_cut_off() {
    for cut in 0..=8 {
        let (_root, paths) = old_state();
        let aside = exchange(&paths, false);
        assert_eq!(aside.journal.moves.len(), 8);
        for Move { place, aside } in aside.journal.moves.iter().rev().take(cut) {
            files::remove(place).unwrap();
            if let Some(aside) = aside {
                fs::rename(aside, place).unwrap();
            }
        }
        let ours = with_interrupted(&paths, Ours::none(&old_metastore())).unwrap();
        assert!(["nightshard", "a", "b", "c"].iter().all(|name| ours.has(name, name)));
        recover(&paths).unwrap();
        assert_eq!(state(&paths), OLD, "after {cut} directories");
    }
}

#[test]
fn the_new_state_stays_once_its_metastore_is_written() {
    let (_root, paths) = old_state();
    let mut aside = exchange(&paths, false);
    aside.before_metastore(&old_metastore(), &new_metastore()).unwrap();
    fs::write(meta_db(&paths), new_metastore().to_meta_db()).unwrap();
    recover(&paths).unwrap();
    assert_eq!(state(&paths), NEW, "cut off before it was said");
    let ours = Ours::read(&paths, &new_metastore()).unwrap();
    assert!(["nightshard", "a", "b", "c"].iter().all(|name| ours.has(name, name)));
    assert!(!ours.has("other", "other") && !ours.has("a", "b"));
    let other_server = Data { cluster_id: 8, ..new_metastore() };
    assert!(!Ours::read(&paths, &other_server).unwrap().has("a", "a"));

    let (_root, paths) = old_state();
    let mut aside = exchange(&paths, false);
    aside.before_metastore(&old_metastore(), &new_metastore()).unwrap();
    aside.after_metastore().unwrap();
    let since = metastore(&["nightshard", "b"], 9);
    fs::write(meta_db(&paths), since.to_meta_db()).unwrap();
    recover(&paths).unwrap();
    assert_eq!(state(&paths), NEW);
    let ours = Ours::read(&paths, &since).unwrap();
    assert!(ours.has("b", "b") && !ours.has("a", "a"), "what does not exist is forgotten");
}

#[test]
fn a_server_that_was_started_by_hand_meanwhile_does_not_hide_which_metastore_it_began_with() {
    // What it did then: nothing of note, wrote a new shard, dropped a database.
    type Change = fn(&mut Data);
    let changes: [Change; 3] = [
        |data| data.index += 1,
        |data| data.databases[2].policies[0].shard_groups[0].shards.push(Shard { id: 9, ..Shard::default() }),
        |data| drop(data.databases.remove(3)),
    ];
    for change in changes {
        for (mut data, expected) in [(old_metastore(), OLD.to_vec()), (new_metastore(), NEW.to_vec())] {
            let (_root, paths) = old_state();
            let mut aside = exchange(&paths, false);
            aside.before_metastore(&old_metastore(), &new_metastore()).unwrap();
            change(&mut data);
            fs::write(meta_db(&paths), data.to_meta_db()).unwrap();
            recover(&paths).unwrap();
            assert_eq!(state(&paths), expected);
        }
    }
}

#[test]
fn a_metastore_that_was_taken_back_takes_the_directories_with_it() {
    let (_root, paths) = old_state();
    let mut aside = exchange(&paths, false);
    aside.before_metastore(&old_metastore(), &new_metastore()).unwrap();
    aside.after_metastore().unwrap();
    aside.metastore_taken_back().unwrap();
    recover(&paths).unwrap();
    assert_eq!(state(&paths), OLD);
}

#[test]
fn what_a_run_was_removing_when_it_was_cut_off_is_not_in_the_way_of_the_next() {
    let (_root, paths) = old_state();
    let first = exchange(&paths, false);
    // The journal goes first, and then the run is killed.
    files::remove(&journal_file(&paths)).unwrap();
    drop(first);
    remove_staged(&paths).unwrap();
    recover(&paths).unwrap();
    for folder in ["a", "nightshard"] {
        fs::create_dir(paths.wal.join(folder)).unwrap();
    }
    exchange(&paths, false).put_back().unwrap();
    assert_eq!(fs::read_to_string(paths.data.join("a/file")).unwrap(), "new");
}

#[test]
fn what_is_dropped_first_makes_room_and_does_not_come_back() {
    let (_root, paths) = old_state();
    let aside = exchange(&paths, true);
    assert!(aside.is_empty());
    aside.put_back().unwrap();
    assert_eq!(state(&paths), [""; 0]);
}

#[test]
fn nothing_was_interrupted_where_there_is_no_journal_and_a_broken_one_is_not_guessed_at() {
    let (_root, paths) = old_state();
    recover(&paths).unwrap();
    assert_eq!(state(&paths), OLD);
    exchange(&paths, false);
    fs::write(journal_file(&paths), "{").unwrap();
    assert!(recover(&paths).unwrap_err().hint_text().unwrap().contains("by hand"));
    assert!(paths.data.join(FOLDER).join("aside/data/a/file").exists());
}
