//! A prune that is killed at any moment: the same command completes it, and whatever is sealed is whole.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::archive::Archive;
use crate::night::{Place, succeed};

async fn the_same_command_completes_what_a_killed_one_has_begun(archive: Archive) {
    let nights = 5;
    for day in 1..=nights {
        archive.take(day).await;
    }
    // The program looks around first, and then deletes: later rounds let it live longer.
    for round in 1..=12 {
        let mut prune = archive.prune(&["--keep-last", "1", "--yes"]);
        let mut child = prune.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(rand::random_range(10..150 * round))).await;
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = archive.list().await;
        for (container, night) in &listed {
            let state = night["state"].as_str().unwrap();
            assert!(["STATUS_READY", "STATUS_DELETING"].contains(&state), "{container}: {night}");
        }
        let mut verify = archive.place.verify();
        verify.args(["--all", "--quick"]);
        succeed(verify).await;
        if ended.is_some_and(|status| status.success()) {
            break;
        }
    }
    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(done["failures"], json!([]));
    let newest = archive.place.container(&format!("2016-06-{nights:02}"));
    assert_eq!(archive.list().await.into_keys().collect::<Vec<_>>(), [newest]);
    archive.verify(&format!("2016-06-{nights:02}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_completes_what_was_killed_in_a_folder() {
    the_same_command_completes_what_a_killed_one_has_begun(Archive::on(Place::folder()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_completes_what_was_killed_in_a_swift() {
    the_same_command_completes_what_a_killed_one_has_begun(Archive::on(Place::swift_alone().await).await).await;
}
