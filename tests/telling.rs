//! Who is told how a run ended: a file for monitoring, addresses, hooks. And that none of them changes how it ends.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use night::{Place, run, succeed};
use serde_json::{Value, json};
use test_support::Influxd;

/// A request as it came.
#[derive(Debug, Clone)]
struct Request {
    line: String,
    head: String,
    body: Vec<u8>,
}

/// Somebody who is told, and answers with the statuses in turn, the last one for ever.
struct Listener {
    address: String,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Listener {
    fn answering(statuses: &'static [&'static str]) -> Listener {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let mut heard = told.lock().unwrap();
                let status = statuses[heard.len().min(statuses.len() - 1)];
                heard.push(hear(&mut stream.unwrap(), status));
            }
        });
        Listener { address, heard }
    }

    fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
    }
}

fn hear(stream: &mut TcpStream, status: &str) -> Request {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        if field.trim().is_empty() {
            break;
        }
        if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&field);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    Request { line: line.trim().to_owned(), head, body }
}

async fn source() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    source
}

/// A backup of an InfluxDB that is not there.
fn failing(place: &Place) -> Command {
    let mut backup = place.command(env!("CARGO_BIN_EXE_nightshard-backup"));
    backup.args(["--source", "http://127.0.0.1:1", "--snapshot-addr", "127.0.0.1:1", "--date", "2016-06-11"]);
    backup
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_hear_of_every_outcome_and_the_sign_of_life_is_given_after_success_alone() {
    let (place, source) = (Place::folder(), source().await);
    let (told, waiting) = (Listener::answering(&["200 OK"]), Listener::answering(&["200 OK"]));
    let addresses = |command: &mut Command| {
        command.args(["--notify-url", &format!("{}/hook?token=s3cret", told.address)]);
        command.args(["--ping-url", &format!("{}/alive", waiting.address)]);
    };

    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    addresses(&mut backup);
    let outcome = succeed(backup).await;
    let [request] = told.heard().try_into().unwrap();
    assert_eq!(request.line, "POST /hook?token=s3cret HTTP/1.1");
    assert!(request.head.to_lowercase().contains("content-type: application/json"), "{}", request.head);
    let ending: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(ending["format"], "nightshard-outcome/1");
    assert_eq!((&ending["program"], &ending["exit_code"]), (&json!("nightshard-backup"), &json!(0)));
    assert_eq!((&ending["success"], &ending["error"]), (&json!(true), &Value::Null));
    assert_eq!(ending["outcome"], outcome, "what --json prints is in it");
    assert!(ending["summary"].as_str().unwrap().starts_with("2016-06-11: "), "{ending}");
    assert_eq!(waiting.heard().len(), 1);
    assert_eq!(waiting.heard()[0].line, "GET /alive HTTP/1.1");

    let mut backup = failing(&place);
    addresses(&mut backup);
    let output = run(backup).await;
    let ending: Value = serde_json::from_slice(&told.heard()[1].body).unwrap();
    assert_eq!(ending["exit_code"], json!(output.status.code()));
    assert_eq!((&ending["success"], &ending["outcome"]), (&json!(false), &Value::Null));
    let error = ending["error"].as_str().unwrap();
    assert!(stderr(&output).contains(&format!("error: {error}\n")), "{output:?}");
    assert_eq!(waiting.heard().len(), 1, "a failed run is no sign of life");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_told_is_a_warning_without_the_secret_and_changes_nothing() {
    let (place, source) = (Place::folder(), source().await);
    let refusing = Listener::answering(&["403 Forbidden"]);
    let recovering = Listener::answering(&["503 Service Unavailable", "200 OK"]);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11", "--metrics", "/nowhere/{program}.prom", "--on-success", "exit 7"]);
    backup.args(["--notify-url", &format!("{}/s3cret", refusing.address)]);
    backup.args(["--ping-url", &recovering.address]);
    let output = run(backup).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = stderr(&output);
    for part in
        ["cannot write the metrics to /nowhere/nightshard-backup.prom", "cannot notify: 127.0.0.1: ", "403", "`exit 7`"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(refusing.heard().len(), 1, "a refusal is final");
    assert_eq!(recovering.heard().len(), 2, "a passing failure is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_get_the_outcome_and_only_the_one_that_fits_is_run() {
    let (place, source) = (Place::folder(), source().await);
    let config = format!(
        "[hooks]\non_success = 'cat > {0}/well; echo \"$NIGHTSHARD_PROGRAM $NIGHTSHARD_EXIT_CODE\" > {0}/well.txt'\n\
         on_failure = 'cat > {0}/badly; echo \"$NIGHTSHARD_EXIT_CODE $NIGHTSHARD_MESSAGE\" > {0}/badly.txt; echo talk'\n",
        place.path("").display().to_string().trim_end_matches('/')
    );
    fs::write(place.path("n.toml"), config).unwrap();

    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]).env("NIGHTSHARD_CONFIG", place.path("n.toml"));
    let outcome = succeed(backup).await;
    let ending: Value = serde_json::from_slice(&fs::read(place.path("well")).unwrap()).unwrap();
    assert_eq!(ending["outcome"], outcome);
    assert_eq!(fs::read_to_string(place.path("well.txt")).unwrap(), "nightshard-backup 0\n");
    assert!(!place.path("badly").exists());

    let mut backup = failing(&place);
    backup.env("NIGHTSHARD_CONFIG", place.path("n.toml"));
    let output = run(backup).await;
    let ending: Value = serde_json::from_slice(&fs::read(place.path("badly")).unwrap()).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(
        fs::read_to_string(place.path("badly.txt")).unwrap(),
        format!("{code} {}\n", ending["error"].as_str().unwrap())
    );
    assert!(output.stdout.is_empty() && stderr(&output).contains("talk"), "what a hook prints is talk: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_hook_that_does_not_end() {
    let (place, source) = (Place::folder(), source().await);
    let mut backup = place.backup(&source);
    let hook = format!("echo > {}; sleep 1000; true", place.path("begun").display());
    backup.args(["--date", "2016-06-11", "--on-success", &hook]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = backup.spawn().unwrap();
    let begun = Instant::now();
    while !place.path("begun").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the hook was not run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    // Standard output ends when nobody holds it any longer: the hook and what it has started are gone.
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "the backup itself was done");
    let seal = place.path("archive/2016-06-11/2016-06-11/manifests/backup.json");
    assert!(seal.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_leaves_metrics_that_monitoring_can_read() {
    let (place, source) = (Place::folder(), source().await);
    let prom = |program: &str| fs::read_to_string(place.path(&format!("nightshard-{program}.prom"))).unwrap();
    let with = |mut command: Command, arguments: &[&str]| {
        command.args(arguments).arg("--metrics").arg(place.path("{program}.prom"));
        command
    };
    succeed(with(place.backup(&source), &["--date", "2016-06-11"])).await;
    let target = Influxd::start().await;
    succeed(with(place.restore(&target), &["--date", "2016-06-11"])).await;
    succeed(with(place.dump(&target), &["--all", "--date", "2016-06-11"])).await;
    succeed(with(place.verify(), &["--date", "2016-06-11"])).await;
    for (program, values) in [
        ("backup", vec!["nightshard_backup_shards 1.0"]),
        ("restore", vec!["nightshard_restore_counted_points 1.0", "nightshard_restore_shards 1.0"]),
        ("dump", vec!["nightshard_dump_records 1.0", "nightshard_dump_measurements 1.0"]),
        ("verify", vec!["nightshard_verify_damaged_objects 0.0", "nightshard_verify_nights 1.0"]),
    ] {
        let text = prom(program);
        for value in values {
            assert!(text.contains(&format!("\n{value}\n")), "{value} is not in\n{text}");
        }
        assert!(
            text.contains(&format!("nightshard_job_exit_code{{program=\"nightshard-{program}\"}} 0.0\n")),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
        // Prometheus' own reader and linter.
        let file = fs::File::open(place.path(&format!("nightshard-{program}.prom"))).unwrap();
        let checked = Command::new("promtool").args(["check", "metrics"]).stdin(file).output().unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    }
}
