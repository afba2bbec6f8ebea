//! Wrong input, through the real programs and against real servers: each ends with its exit code, a message and a hint,
//! and nothing has changed.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use night::{Place, read_all, run, succeed};
use test_support::{Influxd, keystone, tempauth};

/// Title, command line with its environment, exit code, part of the message, part of the hint.
///
/// `$…` stands for what only the run knows: addresses, folders, credentials.
const ROWS: &str = include_str!("command_line/wrong_input.txt");

/// What a row may name.
struct World {
    place: Place,
    /// Production: no authentication, databases `sensu_db` and `empty`.
    source: Influxd,
    /// A server that asks for passwords.
    locked: Influxd,
    /// An intermediary that was never restored by us and has `sensu_db`.
    target: Influxd,
    names: Vec<(&'static str, String)>,
}

impl World {
    /// A sealed night, one that a newer program wrote, and one that was begun and not sealed.
    async fn make() -> World {
        let place = Place::folder();
        let (source, locked, target) =
            tokio::join!(Influxd::start(), Influxd::options().admin("admin", "right").start(), Influxd::start());
        source.statement("CREATE DATABASE sensu_db").await;
        source.statement("CREATE DATABASE second").await;
        source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
        target.statement("CREATE DATABASE sensu_db").await;
        target.write("sensu_db", "cpu,host=a load=2 1465646400000000000").await;

        let mut backup = place.backup(&source);
        backup.args(["--date", "2016-06-11"]);
        succeed(backup).await;
        for (day, from, to) in [
            ("2016-06-12", "nightshard-archive/1", "nightshard-archive/2"),
            ("2016-06-13", "\"databases\"", "\"data\u{0}\""),
        ] {
            let night = place.path("archive").join(day).join(day);
            let old = place.path("archive/2016-06-11/2016-06-11");
            std::fs::create_dir_all(night.join("manifests")).unwrap();
            let manifest = std::fs::read_to_string(old.join("manifests/backup.json")).unwrap();
            assert!(manifest.contains(from), "{manifest}");
            std::fs::write(night.join("manifests/backup.json"), manifest.replace(from, to)).unwrap();
        }
        let begun = place.path("archive/2016-06-14/2016-06-14/shards");
        std::fs::create_dir_all(&begun).unwrap();
        std::fs::write(begun.join("sensu_db.autogen.00001.00"), "half a shard").unwrap();

        for (name, text) in [
            ("unknown-key.toml", "archiv = \"swift:\"\n"),
            ("misplaced.toml", "jobs = 4\n"),
            ("broken.toml", "archive = \n"),
            ("wrong-kind.toml", "archive = 1.5\n"),
            ("bad-value.toml", "[backup]\njobs = \"many\"\n"),
            ("wrong-password", "wrong\n"),
            ("my-clouds.yaml", "clouds: {only: {auth: {auth_url: 'http://127.0.0.1:1/v3'}}}\n"),
            ("not-yaml.yaml", "clouds: {a: {auth: {password: swordfish}\n"),
        ] {
            std::fs::write(place.path(name), text).unwrap();
        }
        let (keystone, tempauth) = (keystone(), tempauth());
        let names = vec![
            ("SOURCE", format!("--source {} --snapshot-addr {}", source.url(), source.snapshot_address())),
            ("LOCKED", format!("--source {} --snapshot-addr {}", locked.url(), locked.snapshot_address())),
            ("SOURCE_URL", source.url()),
            ("TARGET", target_flags(&target, &place)),
            ("ITSELF", target_flags(&source, &place)),
            ("NOBODY", "127.0.0.1:1".to_owned()),
            ("FOLDER", place.path("").display().to_string().trim_end_matches('/').to_owned()),
            ("ST", format!("ST_AUTH={} ST_USER={}", tempauth.url, tempauth.user)),
            (
                "ST_READER",
                format!("ST_AUTH={} ST_USER={} ST_KEY={}", tempauth.url, tempauth.reader, tempauth.reader_key),
            ),
            (
                "OS",
                format!(
                    "OS_AUTH_URL={} OS_USERNAME={} OS_PROJECT_NAME={} OS_USER_DOMAIN_NAME={} OS_PROJECT_DOMAIN_NAME={}",
                    keystone.url, keystone.user, keystone.project, keystone.domain, keystone.domain
                ),
            ),
            ("OS_PASS", keystone.password.clone()),
            ("OS_TOKEN_OF_SOMEBODY", token(&place, &keystone.environment())),
            ("KEYSTONE", keystone.url),
            ("PROJECT_ID", keystone.project_id),
        ];
        World { place, source, locked, target, names }
    }

    /// A row with what its names stand for; the longest first, since some begin like others.
    fn fill(&self, row: &str) -> String {
        let mut names = self.names.clone();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.iter().fold(row.to_owned(), |row, (name, value)| row.replace(&format!("${name}"), value))
    }

    /// Runs what a row says, in an environment of just the row and the place.
    async fn run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace().peekable();
        let mut environment = Vec::new();
        while let Some(word) = words.next_if(|word| word.contains('=') && !word.starts_with('-')) {
            environment.push(word.split_once('=').unwrap());
        }
        let program = match words.next() {
            Some("backup") => env!("CARGO_BIN_EXE_nightshard-backup"),
            Some("check") => env!("CARGO_BIN_EXE_nightshard-check"),
            Some("restore") => env!("CARGO_BIN_EXE_nightshard-restore"),
            Some("dump") => env!("CARGO_BIN_EXE_nightshard-dump"),
            Some("prune") => env!("CARGO_BIN_EXE_nightshard-prune"),
            Some("verify") => env!("CARGO_BIN_EXE_nightshard-verify"),
            Some("fetch") => env!("CARGO_BIN_EXE_nightshard-fetch"),
            Some("list") => env!("CARGO_BIN_EXE_nightshard-list"),
            Some("report") => env!("CARGO_BIN_EXE_nightshard-report"),
            other => panic!("{other:?} is no program: {line}"),
        };
        let mut command = self.place.command(program);
        command.envs(environment).args(words);
        run(command).await
    }

    /// Everything that wrong input must leave as it is.
    async fn state(&self) -> BTreeMap<String, Vec<u8>> {
        let mut state = BTreeMap::new();
        for folder in ["archive", "spool"] {
            let root = self.place.path(folder);
            read_all(self.place.path("").as_path(), &root, &mut state);
        }
        for (name, influxd) in [("source", &self.source), ("locked", &self.locked), ("target", &self.target)] {
            let databases = influxd.statement("SHOW DATABASES").await;
            state.insert(format!("databases of {name}"), databases.to_string().into_bytes());
        }
        for (name, influxd) in [("source", &self.source), ("target", &self.target)] {
            let points = influxd.query("sensu_db", "SELECT * FROM cpu").await;
            state.insert(format!("points of {name}"), points.to_string().into_bytes());
        }
        state.insert("stopped".to_owned(), self.place.path("stopped").exists().to_string().into_bytes());
        state
    }
}

/// A token that somebody else obtained. A busy Keystone drops connections, and the command does not try again.
fn token(place: &Place, environment: &[(&str, String)]) -> String {
    let issue = |_| {
        let mut command = place.command("openstack");
        command.args(["token", "issue", "-f", "value", "-c", "id"]);
        command.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap()
    };
    let output = (0..5).map(issue).find(|output| output.status.success()).expect("a token");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Flags of a restore or dump. A restore that came as far as stopping the server would leave a file behind.
fn target_flags(influxd: &Influxd, place: &Place) -> String {
    let stopped = place.path("stopped").display().to_string();
    let script = place.path("stop");
    std::fs::write(&script, format!("#!/bin/sh\ntouch {stopped}\nexit 1\n")).unwrap();
    make_executable(&script);
    format!("--target {} --target-snapshot-addr {}", influxd.url(), influxd.snapshot_address())
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_ends_with_its_exit_code_a_message_and_a_hint_and_changes_nothing() {
    let world = World::make().await;
    let before = world.state().await;
    let mut faults = Vec::new();
    let mut rows = 0;
    for row in ROWS.split("\n\n").map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let row = world.fill(row);
        let lines: Vec<&str> = row.lines().map(str::trim).collect();
        let [title, line, code, message, hint] = lines[..] else { panic!("a row has five lines:\n{row}") };
        let expected: i32 = code.strip_prefix("exit ").unwrap().parse().unwrap();
        rows += 1;
        let output = world.run(line).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = |prefix: &str, text: &str| {
            stderr.lines().any(|line| line.strip_prefix(prefix).is_some_and(|line| line.contains(text)))
        };
        let right = output.status.code() == Some(expected)
            && said("error: ", message.strip_prefix("error: ").unwrap())
            && said("hint: ", hint.strip_prefix("hint: ").unwrap())
            && output.stdout.is_empty()
            && !stderr.contains("swordfish");
        if !right {
            faults.push(format!("{title}\n{line}\n{}\n{stderr}", output.status));
        }
        if world.state().await != before {
            faults.push(format!("{title}: {line}: something changed"));
        }
    }
    assert!(rows > 40, "{rows} rows were read");
    assert!(faults.is_empty(), "{} of {rows} rows:\n\n{}", faults.len(), faults.join("\n\n"));
}
