//! The servers of the tests do what the tests believe of them.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use test_support::{Influxd, temp_dir};

#[tokio::test]
async fn points_survive_a_stop_and_a_kill() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db").await;
    influxd.write("sensu_db", "cpu,host=a idle=1 1\ncpu,host=b idle=2 2\n").await;
    influxd.stop();
    assert!(!influxd.is_running());
    influxd.restart().await;
    influxd.write("sensu_db", "cpu,host=c idle=3 3\n").await;
    influxd.kill();
    assert!(!influxd.is_running());
    influxd.restart().await;
    assert_eq!(influxd.count("sensu_db", "cpu", "idle").await, 3);
}

#[tokio::test]
async fn many_lines_are_all_written() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db").await;
    let lines: String = (1..=200_000).map(|time| format!("cpu,host=a idle={time}.5,user={time}i {time}\n")).collect();
    influxd.write("sensu_db", &lines).await;
    assert_eq!(influxd.count("sensu_db", "cpu", "user").await, 200_000);
}

#[tokio::test]
async fn the_commands_stop_and_start_it_like_a_service() {
    let influxd = Influxd::start().await;
    for _ in 0..2 {
        assert!(Command::new("sh").args(["-c", &influxd.stop_command()]).status().unwrap().success());
        assert!(!influxd.is_running());
    }
    for _ in 0..2 {
        assert!(Command::new("sh").args(["-c", &influxd.start_command()]).status().unwrap().success());
    }
    influxd.restart().await;
    assert!(influxd.is_running());
}

#[tokio::test]
async fn options_reach_the_server() {
    let base = temp_dir();
    let options = Influxd::options().base(base.path()).hostname("twin").admin("root", "secret").internal_database();
    let influxd = options.set("data", "index-version", "\"tsi1\"").start().await;
    let diagnostics = influxd.statement("SHOW DIAGNOSTICS").await.to_string();
    assert!(diagnostics.contains("\"twin\""), "{diagnostics}");
    influxd.statement("CREATE DATABASE sensu_db").await;
    influxd.write("sensu_db", "cpu,host=a idle=1 1\n").await;
    assert!(influxd.data_dir().starts_with(base.path()));
    let shard = std::fs::read_dir(influxd.data_dir().join("sensu_db/autogen")).unwrap().next().unwrap().unwrap();
    assert!(shard.path().join("index").is_dir(), "tsi1 keeps its index in a folder");

    let anonymous = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = anonymous.get(format!("{}/query?q=SHOW+DATABASES", influxd.url())).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_dropped_server_leaves_nothing() {
    let influxd = Influxd::start().await;
    let (folder, address) = (influxd.config().parent().unwrap().to_owned(), influxd.http_address());
    drop(influxd);
    assert!(!folder.exists());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
#[should_panic(expected = "database not found")]
async fn a_write_into_nothing_fails_the_test() {
    Influxd::start().await.write("nowhere", "cpu idle=1 1\n").await;
}
