//! A real influxd in folders and on ports of its own, and the little that tests need to fill and ask it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::ports::Pair;
use crate::temp_dir;

/// How long a server may take to answer or to end, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A write is sent in bodies of at most this size; influxd refuses more than 25 MB.
const WRITE_BYTES: usize = 4 << 20;

/// Stands in the log before each start.
const START_MARK: &str = "== start of influxd ==";

/// What is not as in influxd's default configuration. Made by [`Influxd::options`].
#[derive(Debug, Default)]
pub struct Options {
    settings: BTreeMap<(String, String), String>,
    credentials: Option<(String, String)>,
    hostname: Option<String>,
    base: Option<PathBuf>,
}

impl Options {
    /// Sets one value of the configuration, in TOML: `set("data", "index-version", "\"tsi1\"")`.
    pub fn set(mut self, section: &str, key: &str, toml: &str) -> Options {
        self.settings.insert((section.to_owned(), key.to_owned()), toml.to_owned());
        self
    }

    /// Turns authentication on, with this first admin. The helpers of [`Influxd`] then use its password.
    pub fn admin(mut self, user: &str, password: &str) -> Options {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self.set("http", "auth-enabled", "true")
    }

    /// Lets the server store its own statistics in `_internal`, as servers do by default.
    pub fn internal_database(self) -> Options {
        self.set("monitor", "store-enabled", "true").set("monitor", "store-interval", "\"1s\"")
    }

    /// What the server takes for its machine's host name (`network.hostname` in SHOW DIAGNOSTICS).
    pub fn hostname(mut self, name: &str) -> Options {
        self.hostname = Some(name.to_owned());
        self
    }

    /// Keeps `meta`, `data` and `wal` under this folder, which outlives the server.
    pub fn base(mut self, folder: &Path) -> Options {
        self.base = Some(folder.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Influxd {
        let directory = temp_dir();
        let base = self.base.clone().unwrap_or_else(|| directory.path().to_owned());
        let mut influxd = Influxd {
            config: directory.path().join("influxd.conf"),
            directory,
            base,
            ports: Pair::claim(),
            credentials: None,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        for _ in 0..20 {
            influxd.write_files(&self);
            influxd.run_script("start");
            if influxd.await_ready().await {
                if let Some((user, password)) = self.credentials {
                    influxd
                        .statement(&format!("CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"))
                        .await;
                    influxd.credentials = Some((user, password));
                }
                return influxd;
            }
            influxd.ports = Pair::claim();
        }
        panic!("influxd found its ports taken twenty times in turn");
    }
}

/// A running influxd. Dropping it kills the process and deletes its folders.
#[derive(Debug)]
pub struct Influxd {
    directory: TempDir,
    base: PathBuf,
    config: PathBuf,
    ports: Pair,
    credentials: Option<(String, String)>,
    client: reqwest::Client,
}

impl Influxd {
    /// Starts one with its default configuration, except that it keeps no statistics of itself.
    pub async fn start() -> Influxd {
        Influxd::options().start().await
    }

    /// Starts one that differs: `Influxd::options().hostname("twin").start().await`.
    pub fn options() -> Options {
        Options::default()
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// Host and port of the HTTP service (8086 elsewhere).
    pub fn http_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first)
    }

    /// Host and port of the snapshot service (8088 elsewhere).
    pub fn snapshot_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.second)
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where `meta.db` lies.
    pub fn meta_dir(&self) -> PathBuf {
        self.base.join("meta")
    }

    /// Where the shards lie, as database/policy/id.
    pub fn data_dir(&self) -> PathBuf {
        self.base.join("data")
    }

    /// Where the write-ahead logs lie, as database/policy/id.
    pub fn wal_dir(&self) -> PathBuf {
        self.base.join("wal")
    }

    /// What the server has written to its log since it was made.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("influxd.log")).unwrap_or_default()
    }

    /// A command that stops this server and waits for its end, as `systemctl stop influxdb` does.
    pub fn stop_command(&self) -> String {
        self.script("stop").display().to_string()
    }

    /// A command that starts this server again and does not wait until it answers, as `systemctl start influxdb` does.
    pub fn start_command(&self) -> String {
        self.script("start").display().to_string()
    }

    /// Ends the server in good order (SIGTERM) and waits for its end.
    pub fn stop(&self) {
        self.run_script("stop");
    }

    /// Ends the server at once (SIGKILL), as a crash would, and waits for its end.
    pub fn kill(&self) {
        self.run_script("kill");
    }

    /// Stops the server if it runs, starts it again on the same ports, and waits until it answers.
    pub async fn restart(&self) {
        self.stop();
        self.run_script("start");
        assert!(self.await_ready().await, "the ports of a restarted influxd were taken");
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        let Ok(pid) = std::fs::read_to_string(self.directory.path().join("influxd.pid")) else { return false };
        // One that has ended, but for which nobody has waited yet, is a zombie: state Z after the name in brackets.
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Writes line protocol (nanoseconds) into a database's default policy.
    pub async fn write(&self, database: &str, lines: &str) {
        self.write_into(database, "", lines).await;
    }

    /// Writes line protocol (nanoseconds) into a policy; an empty name is the default one.
    pub async fn write_into(&self, database: &str, policy: &str, lines: &str) {
        let mut rest = lines;
        while !rest.is_empty() {
            let (head, tail) = match rest.len() {
                ..=WRITE_BYTES => (rest, ""),
                _ => rest.split_at(rest.as_bytes()[..WRITE_BYTES].iter().rposition(|&byte| byte == b'\n').unwrap() + 1),
            };
            let request = self.client.post(format!("{}/write", self.url())).query(&[("db", database), ("rp", policy)]);
            let answer = self.authenticated(request).body(head.to_owned()).send().await.unwrap();
            let status = answer.status();
            assert!(status == 204, "writing to {database} answered {status}: {}", answer.text().await.unwrap());
            rest = tail;
        }
    }

    /// Runs a statement that must succeed and returns its JSON answer, `{"results": […]}`, times in nanoseconds.
    pub async fn query(&self, database: &str, text: &str) -> Value {
        let parameters = [("db", database), ("epoch", "ns"), ("q", text)];
        let request = self.client.post(format!("{}/query", self.url())).form(&parameters);
        let answer = self.authenticated(request).send().await.unwrap().text().await.unwrap();
        let value: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{text} answered {answer}"));
        let failed = value.get("error").is_some()
            || value["results"].as_array().unwrap().iter().any(|one| one.get("error").is_some());
        assert!(!failed, "{text} answered {answer}");
        value
    }

    /// Runs a statement that needs no database: `CREATE DATABASE sensu_db`.
    pub async fn statement(&self, text: &str) -> Value {
        self.query("", text).await
    }

    /// All rows of a query's first series.
    pub async fn rows(&self, database: &str, text: &str) -> Vec<Vec<Value>> {
        let answer = self.query(database, text).await;
        let values = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
        values.into_iter().map(|row| row.as_array().unwrap().clone()).collect()
    }

    /// How many values a field has over all time: `count("sensu_db", "cpu", "idle")`.
    pub async fn count(&self, database: &str, measurement: &str, field: &str) -> u64 {
        let rows = self.rows(database, &format!("SELECT count(\"{field}\") FROM \"{measurement}\"")).await;
        rows.first().map_or(0, |row| row[1].as_u64().unwrap())
    }

    fn authenticated(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.credentials {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// False if it ended because a port was taken.
    async fn await_ready(&self) -> bool {
        let limit = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let started = log.rsplit(START_MARK).next().unwrap_or_default();
            // Before its own log line another server could be the one that answers on this port.
            if started.contains("Listening on HTTP") {
                let ping = self.client.get(format!("{}/ping", self.url())).send().await;
                if ping.is_ok_and(|answer| answer.status() == 204) {
                    return true;
                }
            }
            if started.contains("address already in use") {
                self.stop();
                return false;
            }
            assert!(self.is_running(), "influxd ended at its start:\n{log}");
            assert!(Instant::now() < limit, "influxd does not answer after {PATIENCE:?}:\n{log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn script(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run_script(&self, name: &str) {
        let status = Command::new(self.script(name)).status().unwrap();
        assert!(status.success(), "the script that should {name} influxd ended with {status}:\n{}", self.log());
    }

    fn write_files(&self, options: &Options) {
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        let mut settings = options.settings.clone();
        let mut fixed = |section: &str, key: &str, value: String| {
            settings.entry((section.to_owned(), key.to_owned())).or_insert(value);
        };
        fixed("", "bind-address", format!("\"{}\"", self.snapshot_address()));
        fixed("", "reporting-disabled", "true".to_owned());
        fixed("meta", "dir", quoted(self.meta_dir()));
        fixed("data", "dir", quoted(self.data_dir()));
        fixed("data", "wal-dir", quoted(self.wal_dir()));
        fixed("data", "query-log-enabled", "false".to_owned());
        fixed("http", "bind-address", format!("\"{}\"", self.http_address()));
        fixed("http", "log-enabled", "false".to_owned());
        fixed("monitor", "store-enabled", "false".to_owned());

        // Sorted by section, and the top one, which has no name, comes first.
        let mut config = String::new();
        let mut current = "";
        for ((section, key), value) in &settings {
            if section != current {
                writeln!(config, "[{section}]").unwrap();
                current = section;
            }
            writeln!(config, "{key} = {value}").unwrap();
        }
        std::fs::write(&self.config, config).unwrap();
        self.write_scripts(options.hostname.as_deref());
    }

    fn write_scripts(&self, hostname: Option<&str>) {
        let directory = self.directory.path().display();
        let config = self.config.display();
        let server = match hostname {
            None => format!("influxd -config {config}"),
            // A host name of its own needs a namespace of its own, and that needs root or a user namespace.
            Some(name) => format!(
                "unshare $([ \"$(id -u)\" = 0 ] || echo --user --map-root-user) --uts \
                 sh -c 'hostname {name} && exec influxd -config {config}'"
            ),
        };
        // One that has ended, but for which nobody has waited yet, is a zombie: state Z after the name in brackets. So is
        // one whose first thread has ended, but then others still hold its ports and files: they stand under task.
        // One command at a time, as systemd sees to it: whoever ran one may have been killed while it goes on.
        let head = format!(
            "#!/bin/sh\nset -eu\nexec 9>{directory}/influxd.lock\nflock 9\npid=$(cat {directory}/influxd.pid 2>/dev/null || echo none)\n\
             alive() {{ [ -e \"/proc/$pid/stat\" ] && {{ ! grep -q ') Z ' \"/proc/$pid/stat\" || \
             [ \"$(echo /proc/$pid/task/*)\" != \"/proc/$pid/task/$pid\" ]; }}; }}\n"
        );
        let end = |signal: &str| {
            format!(
                "{head}alive && kill -{signal} \"$pid\" || exit 0\nleft=1200\nwhile alive; do\n  sleep 0.05\n  left=$((left - 1))\n  \
                 [ $left -gt 0 ] || {{ echo 'influxd does not end' >&2; exit 1; }}\ndone 2>/dev/null\n\
                 rm {directory}/influxd.pid\n"
            )
        };
        let start = format!(
            "{head}! alive || exit 0\necho '{START_MARK}' >>{directory}/influxd.log\n{server} </dev/null >>{directory}/influxd.log 2>&1 9>&- &\necho $! >{directory}/influxd.pid\n"
        );
        for (name, text) in [("start", start), ("stop", end("TERM")), ("kill", end("KILL"))] {
            write_executable(&self.script(name), &text);
        }
    }
}

impl Drop for Influxd {
    #[expect(clippy::print_stderr, reason = "what a test prints is shown when it fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The folder goes, and with it what the server said about why the test fails.
            eprintln!("influxd at {} said until the test failed:\n{}", self.http_address(), self.log());
        }
        // While a test is failing a second panic would hide the first one's message.
        let _ = Command::new(self.script("kill")).status();
    }
}

/// A file that is open for writing in any process cannot be executed ("text file busy"), and between fork and exec
/// a child of another thread may hold ours open; a shell that writes it keeps it out of this process.
fn write_executable(path: &Path, text: &str) {
    let status =
        Command::new("sh").args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""]).arg(path).arg(text).status();
    assert!(status.unwrap().success(), "cannot write {}", path.display());
}
