//! An object store that stops answering, and programs that are asked to end meanwhile: they do so within ten seconds, with
//! nothing left in the spool, and the same command completes the work once the store answers again.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use night::{Place, run, succeed};
use test_support::{Fault, FaultProxy, Influxd, tempauth};

const DAY: &str = "2016-06-11";

/// 2016-06-11 02:00 in Berlin, in seconds: a shard begins.
const BEGIN: i64 = 1_465_603_200;

/// A shard and a dump of about 1 MB each.
async fn production() -> Influxd {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let (mut lines, mut random) = (String::new(), 7_u64);
    for second in 0..60_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(lines, "m value={}i {}000000000", random >> 1, BEGIN + second).unwrap();
    }
    influxd.write("sensu_db", &lines).await;
    influxd
}

/// When the store stops.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stops {
    /// On each connection, as the fault says.
    By(Fault),
    /// Altogether, when the program says this.
    When(&'static str),
}

/// Stops at the first byte of an answer, in the middle of a list of a hundred names, of a download, of an upload.
const ANSWER: Stops = Stops::By(Fault::StallAnswer(1));
const LIST: Stops = Stops::By(Fault::StallAnswer(6_000));
const DOWNLOAD: Stops = Stops::By(Fault::StallAnswer(200_000));
const UPLOAD: Stops = Stops::By(Fault::StallRequest(200_000));

/// Runs a command with a store that stops, asks it to end then, and tells how it ended and what it said.
async fn ended(place: &Place, mut command: Command, stops: Stops) -> (Option<i32>, String) {
    let proxy = Arc::new(FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await);
    if let Stops::By(fault) = stops {
        proxy.set(fault);
    }
    let spool = place.path(&test_support::random_name("spool"));
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url())).env("NIGHTSHARD_SPOOL", &spool);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    // A thread of its own, since the program does not wait for us to freeze the store.
    let reader = std::thread::spawn({
        let proxy = Arc::clone(&proxy);
        let see = move |line: &String| {
            if matches!(stops, Stops::When(word) if line.contains(word)) {
                proxy.freeze();
            }
        };
        move || lines.inspect(see).collect::<Vec<_>>().join("\n")
    });
    let stalled = tokio::time::timeout(Duration::from_secs(60), proxy.await_stalls(1)).await;
    let begun = Instant::now();
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{stops:?}: it ended after {:?}", begun.elapsed());
    let text = tokio::task::spawn_blocking(move || reader.join().unwrap()).await.unwrap();
    assert!(stalled.is_ok(), "{stops:?}: nothing has come to stand still:\n{text}");
    let left: Vec<_> = std::fs::read_dir(&spool).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{stops:?}: {left:?}\n{text}");
    (status.code(), text)
}

/// Puts a hundred objects into the place of a night's dumps.
async fn crowd(place: &Place, day: &str) {
    let folder = place.path(&format!("crowd-{day}")).join(day).join("influxdb");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..100 {
        std::fs::write(folder.join(format!("some-measurement-{number}.json")), "[]\n").unwrap();
    }
    let container = place.container(day);
    let mut upload = place.command("swift");
    upload
        .args(["upload", "--object-name", &container, &container, day])
        .current_dir(place.path(&format!("crowd-{day}")));
    let output = run(upload).await;
    assert!(output.status.success(), "{output:?}");
}

fn backup(place: &Place, production: &Influxd, day: &str) -> Command {
    let mut backup = place.backup(production);
    backup.args(["--date", day]);
    backup
}

fn restore(place: &Place, target: &Influxd) -> Command {
    let mut restore = place.restore(target);
    restore.args(["--date", DAY]);
    restore
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_ends_soon_and_is_completed_by_the_same_command() {
    let (place, production) = (Place::swift_version1(), production().await);
    let case = async |day: &str, stops| {
        let (code, text) = ended(&place, backup(&place, &production, day), stops).await;
        assert_eq!(code, Some(143), "{stops:?}: {text}");
        assert!(text.contains("ended by SIGTERM before the work was done"), "{text}");
        if stops == UPLOAD {
            // New connections pass at first, so that the marker can still be told.
            let contents = tokio::task::block_in_place(|| place.contents(day));
            let markers: Vec<_> = contents.iter().filter(|(name, _)| name.contains("/running/")).collect();
            let [(_, marker)] = markers[..] else { panic!("{:?}", contents.keys()) };
            let marker: serde_json::Value = serde_json::from_slice(marker).unwrap();
            assert_eq!((&marker["state"], &marker["error"]), (&"failed".into(), &"interrupted".into()));
        }
        let outcome = succeed(backup(&place, &production, day)).await;
        assert_eq!((&outcome["shards"], &outcome["already_sealed"]), (&1.into(), &false.into()), "{stops:?}");
    };
    crowd(&place, "2016-06-02").await;
    let sealing = Stops::When(" is done");
    tokio::join!(
        case("2016-06-01", ANSWER),
        case("2016-06-02", LIST),
        case("2016-06-03", UPLOAD),
        case("2016-06-04", sealing)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_ends_soon_and_its_target_answers() {
    let (place, production) = (Place::swift_version1(), production().await);
    succeed(backup(&place, &production, DAY)).await;
    let case = async |stops| {
        let target = Influxd::start().await;
        let (code, text) = ended(&place, restore(&place, &target), stops).await;
        assert_eq!(code, Some(143), "{stops:?}: {text}");
        assert!(target.is_running(), "{stops:?}: {text}");
        succeed(restore(&place, &target)).await;
        assert_eq!(target.count("sensu_db", "m", "value").await, 60_000);
    };
    // One that has done its work, and only cannot write it down, says so.
    let record = async {
        let target = Influxd::start().await;
        let (code, text) = ended(&place, restore(&place, &target), Stops::When("counting points")).await;
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("/manifests/restore.") && text.contains("interrupted"), "{text}");
        assert_eq!(target.count("sensu_db", "m", "value").await, 60_000);
    };
    tokio::join!(case(ANSWER), case(DOWNLOAD), record);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_ends_soon_and_writes_nothing_down() {
    let (place, production) = (Place::swift_version1(), production().await);
    succeed(backup(&place, &production, DAY)).await;
    let verify = |flags: &[&str]| {
        let mut verify = place.verify();
        verify.args(["--date", DAY]).args(flags);
        verify
    };
    let case = async |flags: &[&str], stops| {
        let (code, text) = ended(&place, verify(flags), stops).await;
        assert_eq!(code, Some(143), "{flags:?}, {stops:?}: {text}");
        assert!(text.contains("ended by SIGTERM before the work was done"), "{text}");
    };
    tokio::join!(
        case(&["--quick"], ANSWER),
        case(&[], DOWNLOAD),
        case(&["--deep"], DOWNLOAD),
        case(&["--decode"], Stops::When(" is done"))
    );
    let contents = tokio::task::block_in_place(|| place.contents(DAY));
    assert!(!contents.keys().any(|name| name.ends_with("/verify.json")), "{:?}", contents.keys());
    assert_eq!(succeed(verify(&["--deep"])).await["failures"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_ends_soon_and_is_made_by_the_same_command() {
    let (place, production, target) = (Place::swift_version1(), production().await, Influxd::start().await);
    succeed(backup(&place, &production, "2016-06-10")).await;
    crowd(&place, "2016-06-10").await;
    succeed(backup(&place, &production, DAY)).await;
    succeed(restore(&place, &target)).await;
    let dump = || {
        let mut dump = place.dump(&target);
        dump.args(["m", "--date", DAY]);
        dump
    };
    let case = async |stops| {
        let (code, text) = ended(&place, dump(), stops).await;
        assert_eq!(code, Some(143), "{stops:?}: {text}");
    };
    tokio::join!(case(ANSWER), case(UPLOAD));
    case(LIST).await;
    let outcome = succeed(dump()).await;
    assert_eq!((&outcome["dumps"][0]["records"], &outcome["failures"]), (&60_000.into(), &serde_json::json!([])));
}
