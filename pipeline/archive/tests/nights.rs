//! The nights of an archive, by the names of its containers.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::{ContainerPattern, nights};
use store::{Folder, Store};

async fn named(pattern: ContainerPattern, containers: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path()).unwrap().with_listing_limit(2);
    for container in containers {
        store.create_container(container).await.unwrap();
    }
    nights(&store, &pattern).await.unwrap().into_iter().map(|(_, container)| container).collect()
}

#[tokio::test]
async fn nights_come_the_newest_first_with_all_labels_or_the_one_that_is_asked_for() {
    let containers = [
        "2016-06-09",
        "2016-06-11",
        "2016-06-10_before-upgrade",
        "2016-06-1",
        "prod-2016-06-11",
        "music",
        "2016-06-12_ab",
    ];
    let pattern = ContainerPattern::default();
    assert_eq!(named(pattern.clone(), &containers).await, ["2016-06-11", "2016-06-10_before-upgrade", "2016-06-09"]);
    let labelled = pattern.labelled(Some("before-upgrade".parse().unwrap()));
    assert_eq!(named(labelled, &containers).await, ["2016-06-10_before-upgrade"]);
    assert_eq!(named("prod-%Y-%m-%d".parse().unwrap(), &containers).await, ["prod-2016-06-11"]);
}
