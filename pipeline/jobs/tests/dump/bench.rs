//! A server with a night loaded, an archive that has its seal, and witnesses of what a dump left there.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::{BackupManifest, Content, ShardRecord, Source, StoredObject, Writer};
use archive::{Calendar, ContainerPattern, Date, Document, NightState, names, night_state};
use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use influx::{Influx, Settings};
use jobs::backup;
use jobs::dump::{self, Config, Outcome, Reading};
use jobs::loaded::{self, LoadedNight};
use jobs::{Error, Event, Interrupt, Place, Progress};
use serde::Deserialize;
use serde_json::Value;
use store::{Folder, Store, StoreExt};
use test_support::{Influxd, TempDir, temp_dir};

/// The day of most tests, and its container.
pub(crate) const NIGHT: &str = "2016-06-11";

/// Its first instant in UTC, in nanoseconds.
pub(crate) const MIDNIGHT: i64 = 1_465_603_200_000_000_000;

pub(crate) const SECOND: i64 = 1_000_000_000;

/// The seal of a dump as the archive's description has it.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    pub(crate) format: String,
    pub(crate) night: String,
    pub(crate) time_zone: String,
    pub(crate) writer: Value,
    pub(crate) measurement: String,
    pub(crate) database: String,
    pub(crate) retention_policy: String,
    pub(crate) window_start: String,
    pub(crate) window_end: String,
    pub(crate) object: Option<String>,
    pub(crate) encoding: String,
    pub(crate) compression: Option<String>,
    pub(crate) content_bytes: Option<u64>,
    pub(crate) content_sha256: Option<String>,
    pub(crate) page_size: u64,
    pub(crate) records: u64,
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) md5: String,
    pub(crate) covered_until: String,
    pub(crate) open: bool,
    pub(crate) backup_manifest_sha256: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) kept: u64,
    pub(crate) started: String,
    pub(crate) sealed: String,
    pub(crate) warnings: Vec<String>,
}

/// An intermediary with its archive.
pub(crate) struct Bench {
    pub(crate) influxd: Influxd,
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) time_zone: Tz,
}

impl Bench {
    /// A server with an empty database `sensu_db`; nothing is loaded yet.
    pub(crate) async fn start() -> Bench {
        let influxd = Influxd::start().await;
        influxd.statement("CREATE DATABASE sensu_db").await;
        let folder = temp_dir();
        let store = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        Bench { influxd, folder, store, time_zone: Tz::UTC }
    }

    /// One that holds the night with these lines of the line protocol.
    pub(crate) async fn with(lines: &str) -> Bench {
        let bench = Bench::start().await;
        bench.influxd.write("sensu_db", lines).await;
        bench.load(NIGHT).await;
        bench
    }

    /// Backs the server up for real, and says that it holds the night. Databases of InfluxDB's own and ours stay out.
    pub(crate) async fn back_up(&self) -> BackupManifest {
        let Config { place, calendar, date: _, interrupt, .. } = self.config(&[]);
        let config = backup::Config {
            place,
            calendar,
            date: Date::Day(NIGHT.parse().unwrap()),
            databases: vec!["sensu_db".to_owned()],
            if_missing: false,
            shared: Some(backup::Shared::default()),
            replace: false,
            verify: backup::Verify::Decode,
            parallel: 3,
            token_expiry: None,
            interrupt,
        };
        let store = Arc::clone(&self.store);
        backup::run(config, now(), store, self.influx(), Arc::new(())).await.unwrap();
        let NightState::Ready(sealed) = night_state(self.store.as_ref(), NIGHT).await.unwrap() else {
            panic!("{NIGHT} is not sealed");
        };
        self.record(NIGHT, &sealed.sha256).await;
        sealed.document
    }

    /// The files that a dump from the backup writes, by name.
    pub(crate) async fn files_of_backup(&self, config: Config) -> Result<BTreeMap<String, String>, Error> {
        self.files(config, Reading::Backup).await
    }

    /// The files that a dump writes, by name; none of them is stored.
    pub(crate) async fn files(&self, config: Config, reading: Reading) -> Result<BTreeMap<String, String>, Error> {
        let output = temp_dir();
        let config = Config { upload: false, output: Some(output.path().to_owned()), ..config };
        let outcome = self.dump_from(config, reading, Arc::new(())).await?;
        assert!(outcome.failures().is_empty(), "{:?}", outcome.failures());
        let files = std::fs::read_dir(output.path()).unwrap().map(|entry| entry.unwrap());
        let text = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path()).unwrap();
        Ok(files.map(|entry| (entry.file_name().into_string().unwrap(), text(entry))).collect())
    }

    /// Seals a backup of the night, and says that the server holds it.
    pub(crate) async fn load(&self, night: &str) {
        let sha256 = self.seal(night, &["sensu_db"]).await;
        self.record(night, &sha256).await;
    }

    /// Seals a backup of the night.
    pub(crate) async fn seal(&self, night: &str, databases: &[&str]) -> String {
        let manifest = manifest(night, self.time_zone, databases);
        self.store.create_container(night).await.unwrap();
        archive::seal(self.store.as_ref(), night, &names::backup_manifest(night), &manifest).await.unwrap()
    }

    /// Writes the loaded record.
    pub(crate) async fn record(&self, night: &str, manifest_sha256: &str) {
        loaded::write(&self.influx(), &self.loaded(night, manifest_sha256), now()).await.unwrap();
    }

    fn loaded(&self, night: &str, manifest_sha256: &str) -> LoadedNight {
        LoadedNight {
            container: night.to_owned(),
            manifest_sha256: manifest_sha256.to_owned(),
            databases: vec!["sensu_db".to_owned()],
        }
    }

    pub(crate) fn influx(&self) -> Influx {
        self.influx_at(&self.influxd.url())
    }

    pub(crate) fn influx_at(&self, url: &str) -> Influx {
        Influx::new(Settings::new(url.parse().unwrap(), self.influxd.snapshot_address())).unwrap()
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading_at(&self.influxd.url())
    }

    pub(crate) fn reading_at(&self, url: &str) -> Reading {
        Reading::Influx(Box::new(self.influx_at(url)))
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    pub(crate) fn config(&self, measurements: &[&str]) -> Config {
        Config {
            place: Place {
                host: "db2".to_owned(),
                process: std::process::id(),
                writer: Writer { program: "nightshard-dump".to_owned(), version: "0.0.0".to_owned() },
                locks: self.folder.path().join("locks"),
                spool: self.spool(),
                spool_size: None,
            },
            calendar: Calendar {
                time_zone: self.time_zone,
                night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
                pattern: ContainerPattern::default(),
            },
            date: Date::Day(NIGHT.parse().unwrap()).into(),
            measurements: measurements.iter().map(|&name| name.to_owned()).collect(),
            database: None,
            retention_policy: None,
            name: archive::DumpName::default(),
            parallel: 4,
            wait: None,
            format: jobs::dump::Format::Json,
            compression: None,
            page_size: 1000,
            output: None,
            upload: true,
            buffer_bytes: 48 << 20,
            interrupt: Interrupt::new(),
        }
    }

    pub(crate) async fn dump(&self, config: Config) -> Result<Outcome, Error> {
        self.dump_with(config, self.influx(), Arc::new(())).await
    }

    pub(crate) async fn dump_with(
        &self,
        config: Config,
        influx: Influx,
        progress: Arc<dyn Progress>,
    ) -> Result<Outcome, Error> {
        self.dump_from(config, Reading::Influx(Box::new(influx)), progress).await
    }

    pub(crate) async fn dump_from(
        &self,
        config: Config,
        reading: Reading,
        progress: Arc<dyn Progress>,
    ) -> Result<Outcome, Error> {
        let outcome = dump::run(config, now(), Some(Arc::clone(&self.store)), reading, progress).await;
        if self.spool().exists() {
            let left: Vec<_> = std::fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "left in the spool: {left:?}");
        }
        outcome
    }

    /// Dumps one measurement and returns its bytes, proven by its seal.
    pub(crate) async fn dumped(&self, measurement: &str) -> String {
        let outcome = self.dump(self.config(&[measurement])).await.unwrap();
        assert!(outcome.failures().is_empty());
        let object = outcome.dumps[0].object.as_ref().unwrap_or_else(|| panic!("{measurement} has no records"));
        self.text(object).await
    }

    /// The records of a dump, in order.
    pub(crate) async fn records(&self, measurement: &str) -> Vec<String> {
        records(&self.dumped(measurement).await)
    }

    /// An object as text, after a look at its seal: size, digests and count must be right.
    pub(crate) async fn text(&self, object: &str) -> String {
        use sha2::Digest as _;

        let container = object.split('/').next().unwrap();
        let bytes = self.store.get_bytes(container, object, u64::MAX).await.unwrap();
        let file = object.split_once("/influxdb/").unwrap().1;
        let seal = self.seal_of(container, file).await;
        assert_eq!(seal.object.as_deref(), Some(object));
        assert_eq!(seal.bytes, bytes.len() as u64);
        assert_eq!(seal.sha256, hex::encode(sha2::Sha256::digest(&bytes)));
        assert_eq!(seal.md5, hex::encode(md5::Md5::digest(&bytes)));
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(seal.pages, text.lines().count() as u64);
        assert_eq!(seal.records, records(&text).len() as u64);
        text
    }

    /// An object as text, whatever it is.
    pub(crate) async fn store_text(&self, object: &str) -> String {
        let container = object.split('/').next().unwrap();
        String::from_utf8(self.store.get_bytes(container, object, u64::MAX).await.unwrap().to_vec()).unwrap()
    }

    pub(crate) async fn seal_of(&self, container: &str, file: &str) -> Seal {
        let name = format!("{container}/manifests/dump.{file}.json");
        serde_json::from_slice(&self.store.get_bytes(container, &name, u64::MAX).await.unwrap()).unwrap()
    }

    /// All objects of a night but for the seal of the backup.
    pub(crate) async fn objects(&self, night: &str) -> Vec<String> {
        let listed = self.store.list_all(night, "").await.unwrap();
        listed.into_iter().map(|entry| entry.name).filter(|name| !name.ends_with("/backup.json")).collect()
    }
}

/// The records of a dump, each as the text that stands there.
pub(crate) fn records(text: &str) -> Vec<String> {
    let mut records = Vec::new();
    for line in text.lines() {
        let mut rest = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).unwrap();
        while !rest.is_empty() {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
            values.next().unwrap().unwrap();
            let (record, others) = rest.split_at(values.byte_offset());
            records.push(record.to_owned());
            rest = if others.is_empty() { others } else { others.strip_prefix(',').unwrap() };
        }
    }
    records
}

pub(crate) fn now() -> DateTime<Utc> {
    "2016-06-12T00:30:00Z".parse().unwrap()
}

/// What a backup of the night would have sealed: a shard of the week, taken five minutes before the end of its day.
fn manifest(night: &str, time_zone: Tz, databases: &[&str]) -> BackupManifest {
    let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
    let shard = |database: &&str| StoredObject {
        name: format!("{night}/shards/{database}.autogen.00001.00"),
        bytes: 0,
        sha256: String::new(),
        md5: String::new(),
        content: Content::Shard(ShardRecord {
            database: (*database).to_owned(),
            retention_policy: "autogen".to_owned(),
            shard_id: 1,
            starts: Some(at("2016-06-06T00:00:00Z")),
            ends: at("2016-06-13T00:00:00Z"),
            snapshot_taken: at(&format!("{night}T23:55:02Z")),
            unchanged: None,
            pooled: None,
            files: Vec::new(),
            warnings: Vec::new(),
        }),
    };
    BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: night.parse().unwrap(),
        container: night.to_owned(),
        label: None,
        time_zone: time_zone.to_string(),
        writer: Writer { program: "nightshard-backup".to_owned(), version: "0.0.0".to_owned() },
        source: Source {
            host: "db1".to_owned(),
            influxdb_version: "1.6.7".to_owned(),
            cluster_id: "7".to_owned(),
            url: "http://db1:8086/".to_owned(),
            snapshot_address: "db1:8088".to_owned(),
            data_directory: "/var/lib/influxdb/data".to_owned(),
        },
        started: at(&format!("{night}T23:55:00Z")),
        sealed: at(&format!("{night}T23:56:00Z")),
        databases: databases.iter().map(|&name| name.to_owned()).collect(),
        objects: databases.iter().map(shard).collect(),
        pool: None,
        sent_bytes: None,
        verified: None,
        measurements: Vec::new(),
        statistics_sha256: None,
        warnings: Vec::new(),
        adopted: None,
    }
}

/// Does something to the server, once, when the job reports what it waits for here; and keeps what it reports.
pub(crate) struct Intruder<F> {
    pub(crate) at: &'static str,
    pub(crate) act: std::sync::Mutex<Option<F>>,
    pub(crate) reported: std::sync::Mutex<Vec<String>>,
}

impl<F: FnOnce() + Send + 'static> Intruder<F> {
    pub(crate) fn new(at: &'static str, act: F) -> Arc<Intruder<F>> {
        Arc::new(Intruder { at, act: std::sync::Mutex::new(Some(act)), reported: std::sync::Mutex::default() })
    }
}

impl<F: FnOnce() + Send + 'static> Progress for Intruder<F> {
    fn report(&self, event: Event<'_>) {
        let event = format!("{event:?}");
        if event.contains(self.at)
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act();
        }
        self.reported.lock().unwrap().push(event);
    }
}

/// Writes the loaded record without async: progress is reported from synchronous code.
pub(crate) fn record_now(address: &str, night: &str, manifest_sha256: &str) {
    post(address, "/query", b"q=CREATE+DATABASE+nightshard");
    let time = MIDNIGHT + 365 * 86_400 * SECOND;
    let line = format!(
        "loaded container=\"{night}\",manifest_sha256=\"{manifest_sha256}\",databases=\"[\\\"sensu_db\\\"]\" {time}"
    );
    post(address, "/write?db=nightshard", line.as_bytes());
}

/// Sends bytes, whatever they are, to the server.
pub(crate) fn post(address: &str, path: &str, body: &[u8]) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
}
