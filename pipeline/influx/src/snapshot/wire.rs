//! The bytes of the snapshot service's requests and answers (releases 1.5 to 1.12), apart from its sockets.
//!
//! A request is the byte 3, a byte for its type, one JSON object and one line feed. The server reads it in few pieces
//! and does not ask for more, so all of it must be sent by one write. Answers have neither status nor, but for the
//! metastore, a length: they end when the server closes, and an empty one is a refusal without a reason.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// First byte of a connection: which of the services behind the port is meant.
const MUX_HEADER: u8 = 3;

/// How Go writes a time that is not set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// First bytes of the answer to [`Request::Import`].
const MAGIC: u64 = 0x5959_0101;

/// A request with a metastore of at most so many bytes arrives as a whole on any server.
const ONE_READ: usize = 32 << 10;

/// Blanks before a larger one, by its length in bytes, and at most so many.
const BLANKS: usize = 8;
const MOST_BLANKS: usize = 64 << 20;

/// What can be asked. (The service knows more, such as the export by time, which loses data in silence.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// The files of a shard, as a tar.
    Shard {
        /// The shard's id.
        id: u64,
        /// Only those that were written later; all where it is not set.
        since: Option<DateTime<Utc>>,
    },
    /// The metastore, framed.
    Metastore,
    /// The shards of a database, as JSON.
    DatabaseShards {
        /// The database; the empty name means all of them.
        database: &'a str,
    },
    /// The shards of a retention policy, as JSON.
    PolicyShards {
        /// The database.
        database: &'a str,
        /// The policy.
        policy: &'a str,
    },
    /// Makes a database that must not exist yet, with the policies and shards of a metastore that follows the request.
    Import {
        /// The database in that metastore.
        database: &'a str,
        /// Its name on the server; empty for the same.
        name: &'a str,
        /// Length of the metastore in bytes.
        bytes: u64,
    },
}

/// The JSON object, with all members, in the order and with the names of the official client. `UploadSize` is
/// never negative: that crashes servers before 1.8.10.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(rename = "Type")]
    kind: u8,
    backup_database: &'a str,
    restore_database: &'a str,
    backup_retention_policy: &'a str,
    restore_retention_policy: &'a str,
    #[serde(rename = "ShardID")]
    shard_id: u64,
    since: &'a str,
    export_start: &'a str,
    export_end: &'a str,
    upload_size: u64,
}

impl Request<'_> {
    /// All bytes of the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with_blanks(0)
    }

    /// All bytes of the request, with so many blanks before the JSON object.
    #[must_use]
    pub fn encode_with_blanks(&self, blanks: usize) -> Vec<u8> {
        let (kind, database, policy, shard_id) = match *self {
            Request::Shard { id, .. } => (0, "", "", id),
            Request::Metastore => (1, "", "", 0),
            Request::DatabaseShards { database } => (3, database, "", 0),
            Request::PolicyShards { database, policy } => (4, database, policy, 0),
            Request::Import { database, .. } => (6, database, "", 0),
        };
        let (restore_database, upload_size) = match *self {
            Request::Import { name, bytes, .. } => (name, bytes),
            _ => ("", 0),
        };
        let since = match *self {
            Request::Shard { since: Some(since), .. } => since.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            _ => NO_TIME.to_owned(),
        };
        let body = Body {
            kind,
            backup_database: database,
            restore_database,
            backup_retention_policy: policy,
            restore_retention_policy: "",
            shard_id,
            since: &since,
            export_start: NO_TIME,
            export_end: NO_TIME,
            upload_size,
        };
        let mut bytes = vec![b' '; blanks.saturating_add(2)];
        bytes[..2].copy_from_slice(&[MUX_HEADER, kind]);
        bytes.extend(serde_json::to_vec(&body).expect("texts and numbers can always be written as JSON"));
        bytes.push(b'\n');
        bytes
    }
}

/// How many blanks stand before the JSON object of [`Request::Import`], so that the metastore behind it arrives.
///
/// Servers before 1.8.10 read what has come with the object, and then once more; what comes later they take for zeros. But
/// an object is searched through twice before that second reading, blanks and all, and meanwhile the rest comes. Without
/// them 111 KB arrived on one machine and 222 KB never did; so 2 MB arrive. On a slow network more blanks are needed,
/// so there are eight times as many each `time`, counted from 0.
#[must_use]
pub fn blanks(metastore: usize, time: u32) -> usize {
    match metastore {
        0..=ONE_READ => 0,
        _ => metastore.saturating_mul(BLANKS.saturating_pow(time.saturating_add(1))).min(MOST_BLANKS),
    }
}

/// The whole head of a request to put files into a shard; the shard's tar follows.
#[must_use]
pub fn shard_update(id: u64) -> Vec<u8> {
    [&[MUX_HEADER, 7], id.to_be_bytes().as_slice()].concat()
}

/// Reads the answer to [`Request::Import`]: for each shard id of the metastore the id on the server. None are told when the
/// server has refused, and also when the database has no shards.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn decode_ids(answer: &[u8]) -> Result<BTreeMap<u64, u64>, String> {
    let (numbers, rest) = answer.as_chunks::<8>();
    let numbers: Vec<u64> = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    let pairs = match numbers.as_slice() {
        [MAGIC, count, pairs @ ..] if rest.is_empty() && count.checked_mul(2) == Some(pairs.len() as u64) => pairs,
        [MAGIC, ..] => return Err(format!("its length of {} bytes is not what it says", answer.len())),
        _ => return Err("it is no list of shard ids".to_owned()),
    };
    Ok(pairs.as_chunks::<2>().0.iter().map(|[from, to]| (*from, *to)).collect())
}

/// A shard as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardPath {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub policy: String,
    /// Its id, unique on the server.
    pub id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    paths: Option<Vec<String>>,
}

/// Reads the answer to [`Request::DatabaseShards`] and [`Request::PolicyShards`], which must not be empty.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn decode_paths(answer: &[u8]) -> Result<Vec<ShardPath>, String> {
    let Some((b'\n', json)) = answer.split_last() else {
        return Err("the list of shards does not end with a line feed".to_owned());
    };
    let list: List = serde_json::from_slice(json).map_err(|error| format!("the list of shards is no JSON: {error}"))?;
    list.paths.unwrap_or_default().iter().map(|path| decode_path(path)).collect()
}

/// `database/policy/id`; a server on Windows writes `\`. Names hold neither.
fn decode_path(path: &str) -> Result<ShardPath, String> {
    let mut parts = path.split(['/', '\\']);
    match (parts.next(), parts.next(), parts.next().map(str::parse), parts.next()) {
        (Some(database), Some(policy), Some(Ok(id)), None) if !database.is_empty() && !policy.is_empty() => {
            Ok(ShardPath { database: database.to_owned(), policy: policy.to_owned(), id })
        }
        _ => Err(format!("{path:?} is not the path of a shard")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_official_client_byte_for_byte() {
        let check = |request: Request<'_>, expected: &[u8]| {
            assert_eq!(String::from_utf8_lossy(&request.encode()), String::from_utf8_lossy(expected));
        };
        check(
            Request::DatabaseShards { database: "demo" },
            include_bytes!("../../tests/vectors/database-info.request.bin"),
        );
        check(
            Request::PolicyShards { database: "demo", policy: "short" },
            include_bytes!("../../tests/vectors/retention-policy-info.request.bin"),
        );
        check(Request::Metastore, include_bytes!("../../tests/vectors/metastore-backup.request.bin"));
        check(Request::Shard { id: 1, since: None }, include_bytes!("../../tests/vectors/shard-backup.request.bin"));
        let since = DateTime::parse_from_rfc3339("2100-01-01T00:00:00Z").ok().map(|time| time.to_utc());
        check(
            Request::Shard { id: 1, since },
            include_bytes!("../../tests/vectors/shard-backup-since-future.request.bin"),
        );
        let import = include_bytes!("../../tests/vectors/meta-update-ok.request.bin");
        let request = Request::Import { database: "demo", name: "demo_copy", bytes: 665 };
        check(request, &import[..import.len() - 665]);
    }

    #[test]
    fn names_are_escaped_as_json_and_the_line_feed_is_the_only_one() {
        let bytes = Request::DatabaseShards { database: "a\"b\nc" }.encode();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(bytes.last(), Some(&b'\n'));
        assert!(String::from_utf8(bytes).unwrap().contains(r#""BackupDatabase":"a\"b\nc""#));
    }

    #[test]
    fn lists_of_shards_are_read() {
        let shards = decode_paths(include_bytes!("../../tests/vectors/database-info.response.bin")).unwrap();
        let shown: Vec<String> = shards.iter().map(|s| format!("{} {} {}", s.database, s.policy, s.id)).collect();
        assert_eq!(shown, ["demo autogen 1", "demo autogen 2", "demo short 3", "demo short 4"]);

        let shards = decode_paths(include_bytes!("../../tests/vectors/retention-policy-info.response.bin")).unwrap();
        assert_eq!(shards.iter().map(|s| s.id).collect::<Vec<_>>(), [3, 4]);

        assert_eq!(decode_paths(b"{\"Paths\":null}\n").unwrap(), []);
        let escaped = decode_paths(b"{\"Paths\":[\"a\\u0026b.c/x y/18446744073709551615\"]}\n").unwrap();
        assert_eq!(escaped, [ShardPath { database: "a&b.c".into(), policy: "x y".into(), id: u64::MAX }]);
        assert_eq!(decode_paths(b"{\"Paths\":[\"a\\\\b\\\\7\"]}\n").unwrap()[0].id, 7);
    }

    #[test]
    fn answers_to_an_import_are_read_and_cut_ones_are_errors() {
        let answer = include_bytes!("../../tests/vectors/meta-update-ok.response.bin");
        assert_eq!(decode_ids(answer).unwrap(), BTreeMap::from([(1, 6), (2, 7), (3, 8), (4, 9)]));
        assert_eq!(decode_ids(&[&answer[..8], &[0; 8]].concat()).unwrap(), BTreeMap::new());
        for end in 0..answer.len() {
            assert!(decode_ids(&answer[..end]).is_err(), "cut after {end} bytes");
        }
        assert!(decode_ids(&[answer.as_slice(), &[0; 16]].concat()).is_err());
        assert!(decode_ids(&[&[1], &answer[1..]].concat()).is_err());
    }

    #[test]
    fn blanks_stand_before_a_large_metastore_alone() {
        let request = Request::Import { database: "d", name: "", bytes: 9 };
        let (plain, spaced) = (request.encode(), request.encode_with_blanks(1000));
        assert_eq!((&spaced[..2], &spaced[1002..]), (&plain[..2], &plain[2..]));
        assert!(spaced[2..1002].iter().all(|byte| *byte == b' '));
        assert_eq!([blanks(1000, 0), blanks(100_000, 0), blanks(100_000, 1)], [0, 800_000, 6_400_000]);
        assert_eq!(blanks(usize::MAX, u32::MAX), 64 << 20);
    }

    #[test]
    fn cut_and_senseless_lists_are_errors() {
        let whole = include_bytes!("../../tests/vectors/database-info.response.bin");
        for end in 0..whole.len() {
            assert!(decode_paths(&whole[..end]).is_err(), "cut after {end} bytes");
        }
        for path in ["a/b", "a/b/c", "a/b/1/2", "/b/1", "a//1", "a/b/-1", ""] {
            assert!(decode_paths(format!("{{\"Paths\":[{path:?}]}}\n").as_bytes()).is_err(), "{path}");
        }
    }
}
