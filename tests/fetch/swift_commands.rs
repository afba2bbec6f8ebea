//! The printed `swift` commands, run by a shell against the real Swift.

use std::collections::BTreeMap;

use crate::archives::{DAYS, dump, fetch, files, stored, text, two_nights};
use crate::night::{Place, run};

/// Runs what is printed, in a folder of its own, and tells what came.
async fn followed(place: &Place, arguments: &[&str], folder: &str) -> (BTreeMap<String, Vec<u8>>, Vec<u8>) {
    let output = fetch(place, &[arguments, &["--print-swift-commands"]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    let printed = text(&output.stdout);
    std::fs::create_dir_all(place.path(folder)).unwrap();
    let mut shell = place.command("sh");
    shell.args(["-eu", "-c", &printed]).current_dir(place.path(folder));
    let output = run(shell).await;
    assert!(output.status.success(), "{printed}\n{output:?}");
    (files(&place.path(folder)), output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_bring_the_same_files() {
    let place = Place::swift_version1();
    two_nights(&place).await;
    dump(&place, &["cpu", "--date", "2016-06-11", "--name", "it's $HOME"]).await;
    let expected = tokio::task::block_in_place(|| stored(&place, &DAYS));
    let (came, _) = followed(&place, &["--date", "2016-06"], "here").await;
    assert!(came == expected, "{:?}", came.keys());

    for (number, arguments) in [
        &["--date", "2016-06", "--output", "a folder"][..],
        &["--measurement", "cpu", "--date", "2016-06", "--output=-x"],
        &["--shards", "--date", "2016-06-12", "--output", "shards"],
        &["--dumps", "--date", "2016-06", "--flat", "all/dumps"],
    ]
    .into_iter()
    .enumerate()
    {
        let folder = format!("there-{number}");
        let (came, _) = followed(&place, arguments, &folder).await;
        let mut ours = place.command(env!("CARGO_BIN_EXE_nightshard-fetch"));
        std::fs::create_dir_all(place.path("ours").join(&folder)).unwrap();
        ours.args(arguments).current_dir(place.path("ours").join(&folder));
        let output = run(ours).await;
        assert!(output.status.success(), "{output:?}");
        assert!(came == files(&place.path("ours").join(&folder)) && came.len() > 2, "{arguments:?}: {:?}", came.keys());
    }
    let stream = ["--measurement", "mem", "--date", "2016-06", "--stdout"];
    let (_, flowed) = followed(&place, &stream, "stream").await;
    assert!(flowed == fetch(&place, &stream).await.stdout && !flowed.is_empty());
}
