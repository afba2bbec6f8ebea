//! What is special about a folder: files of dead and living writers, and what else may lie there.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use store::{Body, Digests, Error, Folder, Store, StoreExt};

/// How the names of unfinished files begin.
const UNFINISHED: &str = ".nightshard-unfinished-";

async fn folder() -> (tempfile::TempDir, Folder, PathBuf) {
    let directory = test_support::temp_dir();
    let root = directory.path().join("made/on the way");
    let folder = Folder::open(&root).unwrap();
    folder.create_container("night").await.unwrap();
    let container = root.join("night");
    (directory, folder, container)
}

async fn put(folder: &Folder, name: &str) {
    folder.put_bytes("night", name, Bytes::from_static(b"abc")).await.unwrap();
}

async fn names(folder: &Folder) -> Vec<String> {
    folder.list_all("night", "").await.unwrap().into_iter().map(|entry| entry.name).collect()
}

/// What a writer leaves that was killed in the middle.
fn leave_unfinished(directory: &Path) -> PathBuf {
    let path = directory.join(format!("{UNFINISHED}x7Gq2a"));
    fs::create_dir_all(directory).unwrap();
    fs::write(&path, "half of somethi").unwrap();
    path
}

#[tokio::test]
async fn objects_are_plain_files() {
    let (_directory, folder, container) = folder().await;
    put(&folder, "night/shards/a.00").await;
    assert_eq!(fs::read(container.join("night/shards/a.00")).unwrap(), b"abc");
    let mode = |path: &str| fs::metadata(container.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("night/shards/a.00") & 0o137, 0, "nobody else reads or writes it");
    assert_eq!(mode("night/shards") & 0o027, 0);
    // And plain files are objects.
    fs::write(container.join("by hand"), "hello").unwrap();
    assert_eq!(folder.get_bytes("night", "by hand", 10).await.unwrap(), "hello");
    assert_eq!(folder.location(), format!("file://{}", container.parent().unwrap().display()));
}

#[tokio::test]
async fn a_relative_root_is_the_same_folder_wherever_one_goes() {
    let directory = test_support::temp_dir();
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let folder = Folder::open(up.join(directory.path().strip_prefix("/").unwrap())).unwrap();
    assert_eq!(folder.location(), format!("file://{}", directory.path().canonicalize().unwrap().display()));
}

#[tokio::test]
async fn what_dead_writers_left_disturbs_nobody() {
    let (_directory, folder, container) = folder().await;
    for at in ["", "a", "a/b", "c"] {
        leave_unfinished(&container.join(at));
    }
    assert_eq!(names(&folder).await, Vec::<String>::new());
    // A name that is only a directory with such a file in it is free.
    put(&folder, "c").await;
    put(&folder, "a/b/d").await;
    assert_eq!(names(&folder).await, ["a/b/d", "c"]);
    folder.delete("night", "a/b/d").await.unwrap();
    assert!(!container.join("a").exists(), "emptied directories go");
    folder.delete("night", "c").await.unwrap();
    assert!(container.exists(), "but not the container");
    leave_unfinished(&container.join("e/f"));
    folder.delete_container("night").await.unwrap();
    assert!(!container.exists());
}

#[tokio::test]
async fn what_living_writers_write_is_not_swept_away() {
    let (_directory, folder, container) = folder().await;
    put(&folder, "a/b").await;
    let unfinished = leave_unfinished(&container.join("a"));
    let writer = File::open(&unfinished).unwrap();
    writer.lock().unwrap();
    folder.delete("night", "a/b").await.unwrap();
    assert!(unfinished.exists());
    let refused = folder.delete_container("night").await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert!(unfinished.exists());
    drop(writer);
    folder.delete_container("night").await.unwrap();
}

#[tokio::test]
async fn a_failed_put_leaves_no_file() {
    let (_directory, folder, container) = folder().await;
    let wrong = Digests { md5: [0; 16], ..Digests::of(b"abc", None) };
    let put = folder.put("night", "a/b", &Body::from_bytes(Bytes::from_static(b"abc"), wrong)).await;
    assert!(matches!(put, Err(Error::Mismatch { .. })), "{put:?}");
    assert_eq!(fs::read_dir(container.join("a")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_put_that_nobody_waits_for_any_more_ends() {
    let (directory, folder, container) = folder().await;
    let source = directory.path().join("large");
    File::create(&source).unwrap().set_len(2 << 30).unwrap();
    // The digests do not matter: it will not come to the end.
    let body = Body::from_file(&source, Digests { bytes: 2 << 30, ..Digests::of(b"", None) });
    let put = tokio::spawn(async move { folder.put("night", "a", &body).await });
    let entries = || fs::read_dir(&container).unwrap().count();
    while entries() == 0 {
        tokio::task::yield_now().await;
    }
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    while entries() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!container.join("a").exists());
}

#[tokio::test]
async fn an_object_and_others_below_it_exclude_each_other() {
    let (_directory, folder, _) = folder().await;
    put(&folder, "a").await;
    put(&folder, "b/c").await;
    for name in ["a/b", "a/b/c", "b"] {
        let refused = folder.put_bytes("night", name, Bytes::from_static(b"x")).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{name}: {refused:?}");
    }
    for name in ["a/b", "b"] {
        assert_eq!(folder.find("night", name).await.unwrap(), None, "{name}");
    }
    assert_eq!(names(&folder).await, ["a", "b/c"]);
}

#[tokio::test]
async fn links_and_the_like_are_no_objects() {
    let (_directory, folder, container) = folder().await;
    std::os::unix::fs::symlink("/etc/hostname", container.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", container.join("links")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(container.join("socket")).unwrap();
    assert_eq!(names(&folder).await, Vec::<String>::new());
    for name in ["link", "socket"] {
        assert_eq!(folder.find("night", name).await.unwrap(), None, "{name}");
        let get = folder.get("night", name, None).await;
        assert!(matches!(get, Err(Error::NotFound { .. })), "{name}: {get:?}");
    }
    let kept = folder.delete_container("night").await;
    assert!(matches!(kept, Err(Error::Conflict { .. })), "what is not ours is not removed: {kept:?}");
}

#[tokio::test]
async fn a_file_in_the_place_of_a_container_is_none() {
    let (_directory, folder, container) = folder().await;
    fs::write(container.parent().unwrap().join("file"), "").unwrap();
    let created = folder.create_container("file").await;
    assert!(matches!(created, Err(Error::Conflict { .. })), "{created:?}");
    let list = folder.list("file", "", None).await;
    assert!(matches!(list, Err(Error::NotFound { .. })), "{list:?}");
    let containers = folder.list_containers("", None).await.unwrap();
    assert_eq!(containers.len(), 1);
    let opened = Folder::open(container.parent().unwrap().join("file"));
    assert!(opened.is_err(), "{opened:?}");
}

#[test]
fn a_folder_that_may_not_be_made_is_forbidden() {
    // Nobody makes directories here, not even root.
    let opened = Folder::open("/sys/kernel/nightshard");
    assert!(matches!(opened, Err(Error::Forbidden { .. })), "{opened:?}");
}
