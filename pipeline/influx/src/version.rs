//! The server's version, as `/ping` tells it, and whether we speak its snapshot protocol.

use std::cmp::Ordering;
use std::fmt;

/// A version of InfluxDB, ordered by its three numbers.
#[derive(Debug, Clone)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number, 0 where there is none.
    pub patch: u32,
    /// The whole text as the server has it, such as `1.6.7~rc0` or `1.8.10-c1.8.10`.
    pub text: String,
}

impl Version {
    /// Reads what stands in `X-Influxdb-Version`: numbers, perhaps behind a `v`, perhaps with something after
    /// them. `None` for what has no numbers, as the `unknown` of a server that was built without a version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let numbers = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(numbers.len());
        let mut parts = numbers[..end].trim_end_matches('.').split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().map_or(Some(0), |patch| patch.parse().ok())?;
        Some(Version { major, minor, patch, text: text.to_owned() })
    }

    /// Whether its snapshot service speaks as ours does: 1.5 to 1.12. Before 1.5 the requests were others; what comes
    /// after 1.12 has not been seen.
    #[must_use]
    pub fn supported(&self) -> bool {
        self.major == 1 && (5..=12).contains(&self.minor)
    }

    /// Whether a snapshot may lack what the shard's cache holds, without a word: from 1.8.5 on a cache that is just being
    /// written to a file by somebody else is left out after a second.
    #[must_use]
    pub fn may_leave_out_caches(&self) -> bool {
        self.numbers() >= (1, 8, 5)
    }

    fn numbers(&self) -> (u32, u32, u32) {
        (self.major, self.minor, self.patch)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.numbers() == other.numbers()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.numbers().cmp(&other.numbers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        let table = "
            1.6.7~rc0        1.6.7    supported
            1.6.7            1.6.7    supported
            v1.8.10          1.8.10   supported
            1.8.10-c1.8.10   1.8.10   supported
            1.5.0            1.5.0    supported
            1.5              1.5.0    supported
            1.12.4           1.12.4   supported
            1.7.x-c1.7.x     1.7.0    supported
            1.4.3            1.4.3    refused
            1.2.0            1.2.0    refused
            0.13.0           0.13.0   refused
            1.13.0           1.13.0   refused
            2.7.1            2.7.1    refused
            v2.0.9           2.0.9    refused
            unknown          -        -
            1                -        -
            1.99999999999    -        -
            v                -        -
        ";
        for line in table.lines().filter(|line| !line.trim().is_empty()) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let version = Version::parse(columns[0]);
            let (numbers, verdict) = match &version {
                Some(v) => (
                    format!("{}.{}.{}", v.major, v.minor, v.patch),
                    if v.supported() { "supported" } else { "refused" },
                ),
                None => ("-".to_owned(), "-"),
            };
            assert_eq!((numbers.as_str(), verdict), (columns[1], columns[2]), "{line}");
            if let Some(version) = version {
                assert_eq!(version.to_string(), columns[0], "the text stays as it was");
            }
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("1.8.10") > version("1.8.9"));
        assert!(version("1.12.0") > version("1.9.9"));
        assert_eq!(version("1.6.7~rc0"), version("1.6.7"));
    }
}
