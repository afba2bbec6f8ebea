//! The archive: who may write to it, what a probe leaves, how long a token lives, and one that does not answer.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use test_support::{Fault, FaultProxy, keystone, tempauth};

use crate::checked::{backed_up, check, check_at, checked, install, production};
use crate::night::{Place, succeed};

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_written_to_is_told_and_what_was_left_behind_is_removed() {
    let source = production().await;
    let place = Place::swift_version1();
    install(&place);
    let swift = tempauth();
    let mut command = check(&place, &source, &[]);
    command.env("ST_USER", &swift.reader).env("ST_KEY", &swift.reader_key);
    let found = checked(command).await;
    found.assert_wrong(&["archive.writable", "nights.backup"], "403 Forbidden", "a role that may do this");
    let mut command = check(&place, &source, &[]);
    command.env("ST_KEY", "swordfish");
    let found = checked(command).await;
    found.assert_wrong(&["archive.reachable"], "the credentials were refused", "check user, password or token");
    assert!(!found.said.contains("swordfish"), "{}", found.said);

    let place = backed_up(&source).await;
    let found = checked(check(&place, &source, &["--no-write"])).await;
    assert_eq!((found.get("archive.writable").status.as_str(), found.code), ("skipped", Some(0)));
    // A check that was killed has left its probe; that of one that may still run stays.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let container = place.path("archive").join(format!("nightshard-probe-{}", host.trim()));
    for (name, age) in [("old", 3600), ("young", 60)] {
        let path = container.join(name);
        fs::create_dir_all(&container).unwrap();
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    let left = || -> Vec<String> {
        let entries = fs::read_dir(&container).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(checked(check(&place, &source, &[])).await.code, Some(0));
    assert_eq!(left(), ["young"]);
    fs::remove_file(container.join("young")).unwrap();
    assert_eq!(checked(check(&place, &source, &[])).await.code, Some(0));
    assert!(!container.exists());

    fs::remove_dir_all(place.path("archive")).unwrap();
    fs::write(place.path("archive"), "a file").unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["archive.reachable"], "cannot open the folder", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_in_the_night_is_told_of() {
    let (source, place, keystone) = (production().await, Place::swift_keystone(), keystone());
    install(&place);
    succeed(place.backup(&source)).await;
    // A busy Keystone drops connections, and the command does not try again.
    let issue = |_| {
        let mut command = place.command("openstack");
        command.args(["token", "issue", "-f", "value", "-c", "id"]).output().unwrap()
    };
    let issued = (0..5).map(issue).find(|output| output.status.success()).expect("a token");
    let mut command = check(&place, &source, &[]);
    for (name, _) in keystone.environment() {
        command.env_remove(name);
    }
    command.env("OS_AUTH_TYPE", "v3token").env("OS_AUTH_URL", &keystone.url).env("OS_PROJECT_ID", &keystone.project_id);
    command.env("OS_TOKEN", String::from_utf8(issued.stdout).unwrap().trim());
    let found = checked(command).await;
    found.assert_wrong(&["archive.token"], "before the next night has ended", "an application credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_does_not_hang_the_check() {
    let source = production().await;
    let place = Place::swift_version1();
    install(&place);
    let proxy = FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await;
    proxy.set(Fault::StallAnswer(1));
    let mut command = check(&place, &source, &["--patience", "2s"]);
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    let begun = Instant::now();
    let found = checked(command).await;
    found.assert_wrong(&["archive.reachable"], "no answer from the archive within 2s", "--patience waits longer");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(found.get("source.databases").status, "ok", "everything else was looked at");
    // Who has seen enough need not wait.
    let mut command = check(&place, &source, &["--patience", "10min"]);
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url())).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (before, mut child) = (proxy.connections(), command.spawn().unwrap());
    proxy.await_connections(before + 1).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(143));

    let proxy = FaultProxy::start(source.http_address()).await;
    proxy.set(Fault::StallAnswer(1));
    let place = backed_up(&source).await;
    let found = checked(check_at(&place, &proxy.url(), &source.snapshot_address(), &["--patience", "2s"])).await;
    found.assert_wrong(&["source.http"], "no answer from InfluxDB within 2s", "firewall");
}
