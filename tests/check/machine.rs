//! The machine itself: its spool and its locks.

use std::fs;
use std::process::Command;

use crate::checked::{Checked, backed_up, check, checked, production};
use crate::night::run;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_this_machine_is_told() {
    let source = production().await;
    let place = backed_up(&source).await;
    fs::write(place.path("in-the-way"), "").unwrap();
    let in_the_way = place.path("in-the-way").display().to_string();
    for (flag, wrong) in [("--spool", "machine.spool"), ("--locks", "machine.locks")] {
        let found = checked(check(&place, &source, &[flag, &in_the_way])).await;
        found.assert_wrong(&[wrong], &in_the_way, "");
    }
    // A file system of its own, smaller than what the backup wants to have free.
    let command = check(&place, &source, &["--json"]);
    let mut inside = Command::new("unshare");
    if !Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        inside.args(["--user", "--map-root-user"]);
    }
    inside.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\" || exit 99; exec \"$@\""]);
    inside.arg(place.path("spool")).arg(command.get_program()).args(command.get_args());
    inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside.current_dir(place.path(""));
    Checked::of(&run(inside).await).assert_wrong(&["machine.spool"], "bytes free", "free space there");
    assert!(fs::read_dir(place.path("spool")).unwrap().next().is_none(), "nothing is left in the spool");
    assert!(
        fs::read_dir(place.path("locks"))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("check") })
    );
}
