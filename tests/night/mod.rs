//! A night's place: an archive, two InfluxDB, and the programs as a timer would run them.
//!
//! Helpers here prepare or look, and never judge; the types of what is printed and stored are declared again by each
//! test that reads them, as an independent witness.

// Each test uses its own part of this, and may fail where it stands.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use test_support::{Influxd, TempDir, keystone, random_name, temp_dir, tempauth};

/// What the pool's container is called instead of a day.
const POOL: &str = "pool";

/// Where the archive of a test is.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// Container pattern; in a shared Swift it carries a name of the test's own.
    pub(crate) prefix: String,
}

impl Place {
    /// A folder of its own.
    pub(crate) fn folder() -> Place {
        let folder = temp_dir();
        let archive = format!("file://{}", folder.path().join("archive").display());
        Place::with(folder, String::new(), vec![("NIGHTSHARD_ARCHIVE".to_owned(), archive)])
    }

    /// The real Swift, with its built-in users.
    pub(crate) fn swift_version1() -> Place {
        Place::swift(tempauth().environment())
    }

    /// The real Swift, with the users of a real Keystone.
    pub(crate) fn swift_keystone() -> Place {
        Place::swift(keystone().environment())
    }

    /// The same in an account of its own, for what looks at all nights of an account.
    pub(crate) async fn swift_alone() -> Place {
        Place::swift(test_support::own_project().await.environment())
    }

    fn swift(credentials: Vec<(&'static str, String)>) -> Place {
        let mut environment: Vec<_> = credentials.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.push(("NIGHTSHARD_ARCHIVE".to_owned(), "swift:".to_owned()));
        let prefix = format!("{}-", random_name("night"));
        // What nights have in common, too, is of this test alone.
        environment.push(("NIGHTSHARD_POOL_CONTAINER".to_owned(), format!("{prefix}{POOL}")));
        Place::with(temp_dir(), prefix, environment)
    }

    fn with(folder: TempDir, prefix: String, mut environment: Vec<(String, String)>) -> Place {
        let inside = |name: &str| folder.path().join(name).display().to_string();
        environment.extend([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("HOME".to_owned(), inside("home")),
            ("NIGHTSHARD_SPOOL".to_owned(), inside("spool")),
            ("NIGHTSHARD_LOCKS".to_owned(), inside("locks")),
            ("NIGHTSHARD_TIMEZONE".to_owned(), "Europe/Berlin".to_owned()),
            ("NIGHTSHARD_CONTAINER".to_owned(), format!("{prefix}%Y-%m-%d")),
        ]);
        std::fs::create_dir_all(folder.path().join("spool")).unwrap();
        Place { folder, environment, prefix }
    }

    /// A path in this place's own folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The night's container.
    pub(crate) fn container(&self, day: &str) -> String {
        format!("{}{day}", self.prefix)
    }

    /// In a Swift, the container of what nights have in common.
    pub(crate) fn pool(&self) -> String {
        self.container(POOL)
    }

    /// Any program with the archive's credentials, and nothing else in its environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(self.folder.path());
        command
    }

    /// `nightshard-backup` of an InfluxDB.
    pub(crate) fn backup(&self, source: &Influxd) -> Command {
        self.backup_through(source, &source.snapshot_address())
    }

    /// The same, with its shards coming through another address.
    pub(crate) fn backup_through(&self, source: &Influxd, snapshot_address: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nightshard-backup"));
        command.args(["--json", "--source", &source.url(), "--snapshot-addr", snapshot_address]);
        command
    }

    /// `nightshard-restore` onto an InfluxDB.
    pub(crate) fn restore(&self, target: &Influxd) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nightshard-restore"));
        command.args(["--json", "--target", &target.url(), "--target-snapshot-addr", &target.snapshot_address()]);
        command.args(["--stop-command", &target.stop_command(), "--start-command", &target.start_command()]);
        command
    }

    /// `nightshard-dump` from an InfluxDB.
    pub(crate) fn dump(&self, target: &Influxd) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nightshard-dump"));
        command.args(["--json", "--target", &target.url()]);
        command
    }

    /// `nightshard-verify` of the archive.
    pub(crate) fn verify(&self) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nightshard-verify"));
        command.arg("--json");
        command
    }

    /// Backs up a day into a folder and restores it; the backup says that it was taken five minutes before the end of its day.
    pub(crate) async fn load(&self, production: &Influxd, intermediary: &Influxd, day: &str) {
        let mut backup = self.backup(production);
        backup.args(["--database", "sensu_db", "--date", day]);
        succeed(backup).await;
        let path = self.path("archive").join(day).join(day).join("manifests/backup.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for object in manifest["objects"].as_array_mut().unwrap() {
            if object["kind"] == "shard" {
                object["snapshot_taken"] = format!("{day}T21:55:00Z").into();
            }
        }
        std::fs::write(&path, manifest.to_string()).unwrap();
        let mut restore = self.restore(intermediary);
        restore.args(["--date", day]);
        succeed(restore).await;
    }

    /// Everything of the night, fetched by other means than ours: object names and contents.
    pub(crate) fn contents(&self, day: &str) -> BTreeMap<String, Vec<u8>> {
        let container = self.container(day);
        let folder = if self.prefix.is_empty() {
            self.path("archive").join(&container)
        } else {
            let folder = self.path("fetched");
            let output =
                self.command("swift").args(["download", &container, "--output-dir"]).arg(&folder).output().unwrap();
            assert!(output.status.success(), "swift download: {output:?}");
            folder
        };
        let mut contents = BTreeMap::new();
        read_all(&folder, &folder, &mut contents);
        contents
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.prefix.is_empty() {
            return;
        }
        // The Swift is shared by all tests; what this one stored goes with it.
        let listed = self.command("swift").arg("list").output();
        for container in String::from_utf8_lossy(&listed.map(|output| output.stdout).unwrap_or_default()).lines() {
            if container.starts_with(&self.prefix) {
                // A pool keeps what is deleted in it. Of its threads, which delete versions, swift now and then waits for one for ever.
                let all = (container == self.pool()).then_some("--versions");
                let _ = self.command("timeout").args(["20", "swift", "delete", container]).args(all).output();
            }
        }
    }
}

pub(crate) fn read_all(root: &Path, folder: &Path, contents: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(root, &path, contents);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            contents.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// A production with two measurements in three shards: thirty hours from 2016-06-11 00:00 in Berlin on.
pub(crate) async fn production() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let lines: String = (0..30)
        .map(|hour| {
            let time = (1_465_596_000 + hour * 3600) * 1_000_000_000_i64;
            format!("cpu,host=a load={hour}i,idle=0.5 {time}\nmem,host=a free={hour}i {time}\n")
        })
        .collect();
    source.write("sensu_db", &lines).await;
    source
}

/// Runs a command to its end. Whatever else runs in the test goes on meanwhile.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Runs a command that must succeed and gives what it printed.
pub(crate) async fn succeed(command: Command) -> serde_json::Value {
    let text = format!("{command:?}");
    let output = run(command).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text} ended with {}:\n{stderr}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{text} printed no JSON ({error}): {}\n{stderr}", String::from_utf8_lossy(&output.stdout))
    })
}

/// How many runs a test kills: more than `usual` where `NIGHTSHARD_TEST_KILLS` says so.
pub(crate) fn kills(usual: u32) -> u32 {
    std::env::var("NIGHTSHARD_TEST_KILLS").map_or(usual, |text| text.parse().unwrap())
}

/// Starts a command and kills it by SIGKILL after a time. Whether it was still under way.
///
/// The moment is what is tested, so it is a matter of time here, and of nothing that could be waited for.
pub(crate) fn kill_after(mut command: Command, moment: Duration) -> bool {
    tokio::task::block_in_place(|| {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < moment {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap().code().is_none()
    })
}

/// The length of a run, taken for a little less where one had ended before it could be killed: the machine may have been
/// busier when it was measured.
pub(crate) fn shorter_unless(alive: bool, length: Duration) -> Duration {
    if alive { length } else { length.mul_f64(0.97) }
}
