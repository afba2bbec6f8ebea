//! An archive of some nights, and what can be seen of it from outside.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use test_support::Influxd;

use crate::night::{Place, read_all, run, succeed};

/// A place with an InfluxDB whose nights it keeps.
pub(crate) struct Archive {
    pub(crate) place: Place,
    pub(crate) source: Influxd,
}

impl Archive {
    pub(crate) async fn on(place: Place) -> Archive {
        let source = Influxd::start().await;
        source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
        Archive { place, source }
    }

    /// Writes a day's points: more than a megabyte, so that its shard is composed in a Swift.
    pub(crate) async fn write(&self, day: u32) {
        let start = 1_464_739_200 + i64::from(day - 1) * 86_400;
        let lines: String = (0..300)
            .map(|number| {
                let text: String = (0..4500).map(|_| char::from(rand::random_range(b'#'..=b'Z'))).collect();
                format!("log,host=a text=\"{text}\" {}\n", (start + number) * 1_000_000_000)
            })
            .collect();
        self.source.write("sensu_db", &lines).await;
    }

    /// Takes a night of June 2016, and looks at it.
    pub(crate) async fn take(&self, day: u32) -> String {
        self.write(day).await;
        self.back_up(day, &[]).await;
        let name = format!("2016-06-{day:02}");
        self.look(&name).await;
        name
    }

    pub(crate) async fn back_up(&self, day: u32, arguments: &[&str]) -> Value {
        let mut backup = self.place.backup(&self.source);
        backup.args(["--database", "sensu_db", "--date", &format!("2016-06-{day:02}")]).args(arguments);
        succeed(backup).await
    }

    /// A night that was looked at counts as verified, though nothing was read.
    async fn look(&self, date: &str) {
        let mut verify = self.place.verify();
        verify.args(["--date", date, "--quick"]);
        succeed(verify).await;
    }

    pub(crate) async fn verify(&self, date: &str) {
        let mut verify = self.place.verify();
        verify.args(["--date", date]);
        succeed(verify).await;
    }

    /// `nightshard-prune`.
    pub(crate) fn prune(&self, arguments: &[&str]) -> Command {
        let mut prune = self.place.command(env!("CARGO_BIN_EXE_nightshard-prune"));
        prune.args(arguments);
        prune
    }

    /// What it prints for programs.
    pub(crate) async fn pruned(&self, arguments: &[&str]) -> Value {
        succeed(self.prune(&[arguments, &["--json"]].concat())).await
    }

    /// How it fails: its exit code, and what it says.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = run(self.prune(arguments)).await;
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) async fn list(&self) -> BTreeMap<String, Value> {
        let mut list = self.place.command(env!("CARGO_BIN_EXE_nightshard-list"));
        list.arg("--json");
        let nights = match run(list).await {
            Output { status, .. } if status.code() == Some(4) => return BTreeMap::new(),
            output => serde_json::from_slice::<Value>(&output.stdout).unwrap()["nights"].clone(),
        };
        let nights = nights.as_array().unwrap().iter();
        nights.map(|night| (night["container"].as_str().unwrap().to_owned(), night.clone())).collect()
    }

    /// The containers of the place, as others see them.
    pub(crate) async fn containers(&self) -> Vec<String> {
        if self.place.prefix.is_empty() {
            let folders = fs::read_dir(self.place.path("archive")).unwrap();
            let mut names: Vec<String> =
                folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
            names.retain(|name| !name.starts_with('.'));
            names.sort();
            return names;
        }
        let mut swift = self.place.command("swift");
        swift.arg("list");
        let output = run(swift).await;
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// All of a night, by other means than ours.
    pub(crate) fn contents(&self, night: &str) -> BTreeMap<String, Vec<u8>> {
        let _ = fs::remove_dir_all(self.place.path("fetched"));
        self.place.contents(night)
    }

    /// Names in the pool, marks left out.
    pub(crate) async fn pooled(&self) -> Vec<String> {
        let names = self.in_pool().await;
        names.into_iter().filter(|name| name.starts_with("tsm/") || name.starts_with("shards/")).collect()
    }

    pub(crate) async fn in_pool(&self) -> Vec<String> {
        if self.place.prefix.is_empty() {
            let folder = self.place.path("archive/nightshard-pool");
            let mut contents = BTreeMap::new();
            read_all(&folder, &folder, &mut contents);
            return contents.into_keys().collect();
        }
        let mut swift = self.place.command("swift");
        swift.args(["list", &self.place.pool()]);
        let output = run(swift).await;
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Makes the pool forget sooner: what its users agreed on stands in it.
    pub(crate) async fn shorten_grace(&self, seconds: u32) {
        let settings = format!("{{\"format\":\"nightshard-pool/1\",\"grace_seconds\":{seconds}}}");
        if self.place.prefix.is_empty() {
            fs::write(self.place.path("archive/nightshard-pool/pool.json"), settings).unwrap();
            return;
        }
        fs::write(self.place.path("pool.json"), settings).unwrap();
        let mut swift = self.place.command("swift");
        swift.args(["upload", &self.place.pool(), "pool.json"]);
        let output = run(swift).await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Prunes again and again until the pool holds nothing that is not needed.
    pub(crate) async fn prune_until(&self, done: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !done().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "the pool is not cleared");
            self.pruned(&["--yes"]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Bytes that a container holds as Swift counts them, those of what was deleted and is kept among them.
    pub(crate) async fn bytes_in(&self, container: &str) -> u64 {
        let mut swift = self.place.command("swift");
        swift.args(["stat", container]);
        let output = run(swift).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("Bytes:")).unwrap();
        let kept = text.lines().find_map(|line| line.trim().strip_prefix("X-Container-Sysmeta-Versions-Bytes:"));
        line.trim().parse::<u64>().unwrap() + kept.map_or(0, |kept| kept.trim().parse().unwrap())
    }
}
