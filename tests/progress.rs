//! What is said while a program runs: a bar on a terminal and nowhere else, records for machines, fields for the journal.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use night::{Place, run};
use serde_json::Value;
use test_support::Influxd;

async fn source() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    for day in 1..=20 {
        source
            .write(
                "sensu_db",
                &format!("cpu,host=a load={day}i {}", (1_465_596_000 + day * 86_400) * 1_000_000_000_i64),
            )
            .await;
    }
    source
}

/// The command within a terminal, which `script` makes: what the terminal got.
async fn on_a_terminal(place: &Place, command: &Command, terminal: &str) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = place.command("script");
    script.args(["--quiet", "--return", "--command", &line.join(" ")]).arg(place.path("typescript"));
    script.env("TERM", terminal).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = run(script).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Seen only where a bar is drawn: the cursor goes back to where it began.
fn is_drawn(said: &str) -> bool {
    said.contains("\u{1b}[2K") || said.contains("\u{1b}[1A")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_bar_that_is_gone_at_the_end_and_keeps_lines_whole() {
    let (place, source) = (Place::folder(), source().await);
    let backup = |day: &str| {
        let mut backup = place.command(env!("CARGO_BIN_EXE_nightshard-backup"));
        backup.args(["--source", &source.url(), "--snapshot-addr", &source.snapshot_address(), "--date", day]);
        backup
    };
    let mut slow = backup("2016-07-01");
    // Slow enough to be seen.
    slow.args(["--limit-rate", "40KiB", "--jobs", "1"]);
    let shown = on_a_terminal(&place, &slow, "xterm").await;
    assert!(is_drawn(&shown), "{shown:?}");
    // The name is cut where the line ends.
    assert!(shown.contains(" done, s") && shown.contains(" of 20 "), "{shown:?}");
    assert!(!shown.contains("is done, "), "the bar tells of each shard: {shown:?}");
    let last = shown.trim_end().rsplit(['\n', '\r']).next().unwrap();
    assert!(last.contains("2016-07-01: sensu_db backed up and proven"), "{last:?}");

    let shown = on_a_terminal(&place, &backup("2016-07-02"), "dumb").await;
    assert!(!is_drawn(&shown) && shown.contains(" is done, "), "{shown:?}");
    let mut quiet = backup("2016-07-03");
    quiet.arg("--quiet");
    assert_eq!(on_a_terminal(&place, &quiet, "xterm").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_no_bar_but_lines_or_records_with_fields() {
    let (place, source) = (Place::folder(), source().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-07-01"]).env("TERM", "xterm");
    let output = run(backup).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains('\u{1b}') && said.contains(".00 is done, "), "{said:?}");
    assert!(!said.contains("object="), "fields are not for people: {said}");

    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-07-02", "--log-format", "json"]);
    let output = run(backup).await;
    let records: Vec<Value> = output
        .stderr
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let done: Vec<&Value> = records.iter().filter(|record| record["object"].is_string()).collect();
    assert_eq!(done.len(), 20);
    assert!(done.iter().all(|record| record["bytes"].as_u64() > Some(0) && record["level"] == "INFO"), "{done:?}");

    let mut failing = place.command(env!("CARGO_BIN_EXE_nightshard-backup"));
    failing.args(["--source", "http://127.0.0.1:1", "--log-format", "json"]);
    let output = run(failing).await;
    let last = output.stderr.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let last: Value = serde_json::from_slice(last).unwrap();
    assert_eq!(last["level"], "ERROR", "{last}");
    assert!(last["hint"].is_string() && last["message"].is_string(), "{last}");
}

/// The fields of an entry as the journal gets them.
fn field(entry: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(entry);
    let plain = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned));
    plain.or_else(|| {
        // A name on a line of its own is followed by the length in eight bytes, and the value.
        let start = entry.windows(name.len() + 1).position(|window| window == format!("{name}\n").as_bytes())?;
        let rest = &entry[start + name.len() + 1..];
        let length = usize::try_from(u64::from_le_bytes(rest[..8].try_into().unwrap())).unwrap();
        Some(String::from_utf8_lossy(&rest[8..8 + length]).into_owned())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_gets_fields_where_stderr_leads_to_it_and_lines_where_it_was_redirected() {
    let (place, source) = (Place::folder(), source().await);
    // The journal's socket, at its place in a view of the files that only the program has.
    let journal = place.path("journal");
    fs::create_dir(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let stderr = File::create(place.path("stderr")).unwrap();
    let metadata = stderr.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());

    let within = |stream: &str, day: &str| {
        let mut command = place.command("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command.arg("mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind \"$0\" /run/systemd/journal && exec \"$@\"");
        command.arg(&journal).arg(env!("CARGO_BIN_EXE_nightshard-backup"));
        command.args(["--source", &source.url(), "--snapshot-addr", &source.snapshot_address(), "--date", day]);
        command.env("JOURNAL_STREAM", stream).stderr(stderr.try_clone().unwrap());
        command
    };
    let receiving = std::thread::spawn(move || {
        let mut entries = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = socket.recv(&mut buffer) {
            if &buffer[..length] == b"end" {
                break;
            }
            entries.push(buffer[..length].to_vec());
        }
        entries
    });
    let output = run(within(&stream, "2016-07-01")).await;
    assert!(output.status.success(), "{output:?} {}", fs::read_to_string(place.path("stderr")).unwrap());
    assert_eq!(fs::read_to_string(place.path("stderr")).unwrap(), "", "nothing is said twice");
    let output = run(within("1:1", "2016-07-02")).await;
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read_to_string(place.path("stderr")).unwrap().contains(".00 is done, "));

    // The night is sealed by now; who reads `journalctl` finds what to do in the message.
    let output = run(within(&stream, "2016-07-01")).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    UnixDatagram::unbound().unwrap().send_to(b"end", journal.join("socket")).unwrap();
    let entries = receiving.join().unwrap();
    let done: Vec<_> = entries.iter().filter(|entry| field(entry, "NIGHTSHARD_OBJECT").is_some()).collect();
    assert_eq!(done.len(), 20, "only the first run wrote to the journal");
    for entry in done {
        assert_eq!(field(entry, "SYSLOG_IDENTIFIER").unwrap(), "nightshard-backup");
        assert!(field(entry, "MESSAGE").unwrap().contains(" is done, "));
        assert!(field(entry, "NIGHTSHARD_OBJECT").unwrap().starts_with("2016-07-01/shards/"));
        assert!(field(entry, "NIGHTSHARD_BYTES").unwrap().parse::<u64>().unwrap() > 0);
    }
    let last = entries.last().unwrap();
    let hint = field(last, "NIGHTSHARD_HINT").unwrap();
    let message = field(last, "MESSAGE").unwrap();
    assert!(message.contains("is sealed already") && message.ends_with(&format!("\nhint: {hint}")), "{message}");
}
