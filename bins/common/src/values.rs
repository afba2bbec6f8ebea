//! Values of options that no other crate knows how to read.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use url::Url;

/// Text that is not to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Secret, Self::Err> {
        Ok(Secret(text.to_owned()))
    }
}

/// Why a text is no value, and what one would look like.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct ValueError {
    pub(crate) reason: String,
    pub(crate) hint: String,
}

fn refuse<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError { reason: reason.into(), hint: hint.into() })
}

/// Where the archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveUrl {
    /// OpenStack Swift, with the credentials of the environment or of `clouds.yaml`.
    Swift,
    /// A folder.
    Folder(PathBuf),
}

impl FromStr for ArchiveUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<ArchiveUrl, ValueError> {
        let hint = "give swift: (credentials from OS_CLOUD, OS_* or ST_*), or a folder such as file:///srv/backup";
        if text == "swift:" {
            return Ok(ArchiveUrl::Swift);
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => return refuse("it has no scheme", hint),
            Err(error) => return refuse(error.to_string(), hint),
        };
        match url.scheme() {
            "swift" => refuse("nothing may follow swift:", hint),
            "file" if url.query().is_some() || url.fragment().is_some() => {
                refuse("a folder has neither ? nor #", "write ? as %3F and # as %23")
            }
            "file" => match url.to_file_path() {
                Ok(path) if text.starts_with("file:///") && path.parent().is_some() => Ok(ArchiveUrl::Folder(path)),
                Ok(path) if path.parent().is_none() => refuse("the root is no folder for an archive", hint),
                _ => refuse("a folder is given with three slashes and its full path", hint),
            },
            scheme => refuse(format!("the scheme {scheme}: is not known"), hint),
        }
    }
}

/// An address that is told something.
pub(crate) fn web_address(text: &str) -> Result<Url, ValueError> {
    match Url::parse(text) {
        Ok(url) if !["http", "https"].contains(&url.scheme()) => {
            refuse("only http:// and https:// are spoken", "give an address such as https://example.org/path")
        }
        Ok(url) => Ok(url),
        Err(error) => refuse(error.to_string(), "give an address such as https://example.org/path"),
    }
}

/// A file for the node exporter, which reads those of its folder that end in `.prom`.
pub(crate) fn metrics_file(text: &str) -> Result<PathBuf, ValueError> {
    match text.ends_with(".prom") {
        true => Ok(PathBuf::from(text)),
        false => refuse(
            "the node exporter reads files that end in .prom",
            "give one such as /var/lib/prometheus/node-exporter/{program}.prom",
        ),
    }
}

/// The address of an InfluxDB.
pub(crate) fn influx_url(text: &str) -> Result<Url, ValueError> {
    let hint = "give an address such as http://127.0.0.1:8086";
    match Url::parse(text) {
        Ok(url) if !["http", "https"].contains(&url.scheme()) => refuse("only http:// and https:// are spoken", hint),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => refuse(
            "user and password do not belong into the address, which others may see",
            "set NIGHTSHARD_SOURCE_USER and NIGHTSHARD_SOURCE_PASSWORD (or …_TARGET_…), or the configuration file's keys",
        ),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => refuse("an address has neither ? nor #", hint),
        Ok(url) => Ok(url),
        Err(error) => refuse(error.to_string(), hint),
    }
}

/// A host with its port.
pub(crate) fn host_and_port(text: &str) -> Result<String, ValueError> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let bare = host.starts_with('[') == host.ends_with(']') && (host.starts_with('[') || !host.contains(':'));
    if host.is_empty() || !bare || host.contains('/') || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return refuse("it is no HOST:PORT", "give host and port of the snapshot service, such as 127.0.0.1:8088");
    }
    Ok(text.to_owned())
}

/// A span of time, such as `6h` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    match humantime::parse_duration(text) {
        Ok(duration) => Ok(duration),
        Err(error) => refuse(error.to_string(), "give a number with a unit: 30s, 15m, 6h, 1day"),
    }
}

/// The same between two instants.
pub(crate) fn span(text: &str) -> Result<TimeDelta, ValueError> {
    match TimeDelta::from_std(duration(text)?) {
        Ok(span) => Ok(span),
        Err(error) => refuse(error.to_string(), "give a shorter span, such as 30days"),
    }
}

/// How long a pool keeps what no night needs, such as `7days`: not so short that a backup could outlast half of it.
pub(crate) fn grace(text: &str) -> Result<Duration, ValueError> {
    let grace = duration(text)?;
    let least = archive::pool::LEAST_GRACE.to_std().unwrap_or_default();
    if grace < least {
        return refuse("it is less than two days", "a backup must be done within half of it; 7days is the default");
    }
    Ok(grace)
}

/// The most that a span of time may be, such as `26h`, or `off` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

impl FromStr for Limit {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Limit, ValueError> {
        match text {
            "off" => Ok(Limit(None)),
            text => match humantime::parse_duration(text) {
                Ok(duration) => Ok(Limit(Some(duration))),
                Err(error) => refuse(error.to_string(), "give a number with a unit, such as 26h or 8days, or off"),
            },
        }
    }
}

/// A time zone, such as `Europe/Berlin`.
pub(crate) fn time_zone(text: &str) -> Result<Tz, ValueError> {
    match text.parse::<Tz>() {
        Ok(zone) => Ok(zone),
        Err(_) => refuse("there is no such time zone", "give a name such as Europe/Berlin or UTC"),
    }
}

/// A local time of day, such as `12:00`.
pub(crate) fn time_of_day(text: &str) -> Result<NaiveTime, ValueError> {
    match NaiveTime::parse_from_str(text, "%H:%M") {
        Ok(time) => Ok(time),
        Err(error) => refuse(error.to_string(), "give hours and minutes, such as 12:00"),
    }
}

/// The least rate, in bytes a second.
const LEAST_RATE: u64 = 1 << 10;

/// A number of bytes, such as `1GiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, ValueError> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let scale: Option<u64> = match text[digits.len()..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    match (digits.parse::<u64>(), scale) {
        (Ok(number), Some(scale)) if number > 0 && number.checked_mul(scale).is_some() => Ok(number * scale),
        _ => refuse("it is no number of bytes", "give a whole number with a unit: 500MB, 64MiB, 1GiB"),
    }
}

/// The least that the files on their way must have, in bytes.
const LEAST_SPOOL: u64 = 1 << 20;

/// A number of bytes for files on their way, such as `20GiB`.
pub(crate) fn spool_size(text: &str) -> Result<u64, ValueError> {
    match bytes(text)? {
        ..LEAST_SPOOL => {
            refuse("hardly anything would fit", "give at least 1MiB; a shard needs as much as it is large")
        }
        size => Ok(size),
    }
}

/// A number of bytes a second, such as `20MiB`.
pub(crate) fn rate(text: &str) -> Result<u64, ValueError> {
    match bytes(text)? {
        ..LEAST_RATE => refuse("no night would ever end", "give at least 1KiB (a second)"),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_or_refused_with_a_reason() {
        let table = "
            swift:                    | Swift
            file:///srv/backup        | Folder(\"/srv/backup\")
            file:///srv/a%20b         | Folder(\"/srv/a b\")
            swift:backups             | nothing may follow swift:
            swift://host/container    | nothing may follow swift:
            s3://bucket               | the scheme s3: is not known
            /srv/backup               | it has no scheme
            file:srv/backup           | a folder is given with three slashes and its full path
            file://srv/backup         | a folder is given with three slashes and its full path
            file:///                  | the root is no folder for an archive
            file:///srv/a?b           | a folder has neither ? nor #";
        for line in table.lines().skip(1) {
            let (text, expected) = line.split_once('|').unwrap();
            let shown = match text.trim().parse::<ArchiveUrl>() {
                Ok(url) => format!("{url:?}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expected.trim(), "{text}");
        }
    }

    #[test]
    fn addresses_of_influxdb_hold_no_credentials() {
        assert!(influx_url("http://127.0.0.1:8086").is_ok());
        assert!(influx_url("https://influx.example/prefix").is_ok());
        assert!(influx_url("http://me:secret@influx:8086").unwrap_err().to_string().contains("do not belong"));
        assert!(influx_url("127.0.0.1:8086").is_err());
        assert!(influx_url("udp://127.0.0.1:8089").is_err());
    }

    #[test]
    fn hosts_have_a_port() {
        for good in ["127.0.0.1:8088", "influx.example:8088", "[::1]:8088"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in
            ["", "influx", "influx:", ":8088", "influx:0", "influx:99999", "::1:8088", "http://influx:8088", "[::1"]
        {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("4096").unwrap(), 4096);
        assert_eq!(bytes("1GiB").unwrap(), 1 << 30);
        assert_eq!(bytes("500 MB").unwrap(), 500_000_000);
        for bad in ["", "0", "GiB", "1.5GiB", "1 gib", "-1", "99999999999TiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_bytes_a_second() {
        assert_eq!(rate("20MiB").unwrap(), 20 << 20);
        assert_eq!(rate("1KiB").unwrap(), 1024);
        for bad in ["1023", "1 B", "20MiB/s", "fast"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret("swordfish".to_owned())), "(hidden)");
    }
}
