//! Which servers are taken for an InfluxDB that we can speak with; and certificates.

// Clippy does not see that helpers beside the tests belong to them.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use nightshard_influx::{Error, Influx, Ping, Settings};
use test_support::Influxd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Pings a server that answers with these headers.
async fn ping(headers: &str) -> Result<Ping, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let influx = Influx::new(Settings::new(url.parse().unwrap(), "127.0.0.1:8088")).unwrap();
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }
        assert!(request.starts_with(b"GET /ping HTTP/1.1\r\n"));
        connection.write_all(format!("HTTP/1.1 204 No Content\r\n{headers}\r\n").as_bytes()).await.unwrap();
    };
    tokio::join!(influx.ping(), server).0
}

#[tokio::test]
async fn releases_from_1_5_to_1_12_are_taken() {
    for version in ["1.5.0", "1.6.7~rc0", "v1.8.10", "1.8.10-c1.8.10", "1.12.4"] {
        let headers = format!("X-Influxdb-Version: {version}\r\nDate: Sat, 11 Jun 2016 23:55:00 GMT\r\n");
        let ping = ping(&headers).await.unwrap();
        assert_eq!(ping.version.text, version);
        assert_eq!(ping.date.to_rfc3339(), "2016-06-11T23:55:00+00:00");
    }
}

#[tokio::test]
async fn other_releases_are_refused_by_name() {
    for version in ["1.4.3", "0.13.0", "1.13.0", "v2.7.1", "unknown"] {
        let headers = format!("X-Influxdb-Version: {version}\r\nDate: Sat, 11 Jun 2016 23:55:00 GMT\r\n");
        let error = ping(&headers).await.unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion { .. }), "{error}");
        assert!(error.to_string().contains(&format!("is InfluxDB {version};")), "{error}");
        assert!(!error.is_passing() && error.hint().is_some());
    }
}

#[tokio::test]
async fn what_is_no_influxdb_is_told() {
    for headers in ["Date: Sat, 11 Jun 2016 23:55:00 GMT\r\n", "X-Influxdb-Version: 1.6.7\r\nDate: yesterday\r\n"] {
        let error = ping(headers).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
    }
}

/// A certificate for 127.0.0.1 and its key, signed by themselves.
fn certificate(directory: &std::path::Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=influx.test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(directory)
        .output()
        .expect("openssl is needed to make a certificate");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    certificate(directory.path());
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let both = directory.path().join("both.pem");
    std::fs::write(&both, read("certificate.pem") + &read("key.pem")).unwrap();

    // Started in the clear, since the helper waits for an answer in the clear; then with TLS.
    let options = Influxd::options().set("http", "https-enabled", "false");
    let influxd = options.set("http", "https-certificate", &format!("{both:?}")).start().await;
    influxd.stop();
    let config = std::fs::read_to_string(influxd.config()).unwrap();
    std::fs::write(influxd.config(), config.replace("https-enabled = false", "https-enabled = true")).unwrap();
    assert!(Command::new("sh").args(["-c", &influxd.start_command()]).status().unwrap().success());

    let url = format!("https://{}", influxd.http_address());
    let mut settings = Settings::new(url.parse().unwrap(), influxd.snapshot_address());
    settings.insecure = true;
    let insecure = Influx::new(settings.clone()).unwrap();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = insecure.ping().await {
        assert!(std::time::Instant::now() < patience, "{error}");
        tokio::task::yield_now().await;
    }

    settings.insecure = false;
    let error = Influx::new(settings.clone()).unwrap().ping().await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }) && !error.is_passing() && error.hint().is_some(), "{error}");
    settings.ca_certificate = Some(directory.path().join("certificate.pem"));
    Influx::new(settings).unwrap().ping().await.unwrap();
}
