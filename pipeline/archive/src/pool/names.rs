//! Names of objects in the pool.

use std::fmt;
use std::str::FromStr;

/// The folder of the marks.
pub(super) const MARKS: &str = "marks/";

/// The folders of the objects, in the order in which they are marked and destroyed: what is composed before what it is
/// composed of.
pub(super) const FOLDERS: [&str; 2] = ["shards/", "tsm/"];

/// A new name for a piece with this SHA-256, in hex.
#[must_use]
pub fn piece_name(sha256: &str) -> String {
    generation("tsm", sha256)
}

/// A new name for a shard with this SHA-256, in hex.
#[must_use]
pub fn shard_name(sha256: &str) -> String {
    generation("shards", sha256)
}

/// No name is ever written twice: links and manifests that name an object would take the later one for damage.
fn generation(folder: &str, sha256: &str) -> String {
    format!("{folder}/{sha256}.{:016x}", rand::random::<u64>())
}

/// What all names of pieces with this SHA-256 begin with.
pub(super) fn piece_prefix(sha256: &str) -> String {
    format!("tsm/{sha256}.")
}

/// What all names of shards with this SHA-256 begin with.
pub(super) fn shard_prefix(sha256: &str) -> String {
    format!("shards/{sha256}.")
}

/// The mark of an object.
#[must_use]
pub fn mark_of(name: &str) -> String {
    format!("{MARKS}{name}")
}

/// The name of an object in the pool, as few bytes: a hundred thousand of them fit into five megabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolName {
    is_shard: bool,
    sha256: [u8; 32],
    id: u64,
}

impl PoolName {
    /// A quarter of the digest and the random id, for counting: no two names of a pool have both in common.
    pub(super) fn fingerprint(&self) -> u128 {
        let [.., a, b, c, d, e, f, g, h] = self.sha256;
        u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h])) << 64 | u128::from(self.id)
    }

    /// Whether it is that of a shard, and not of a piece.
    pub(super) fn is_shard(&self) -> bool {
        self.is_shard
    }
}

/// That a name is none of the pool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPoolName;

impl FromStr for PoolName {
    type Err = NoPoolName;

    fn from_str(name: &str) -> Result<PoolName, NoPoolName> {
        let (folder, rest) = name.split_once('/').ok_or(NoPoolName)?;
        let is_shard = match folder {
            "shards" => true,
            "tsm" => false,
            _ => return Err(NoPoolName),
        };
        let (digest, id) = rest.split_once('.').ok_or(NoPoolName)?;
        let is_lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut sha256 = [0; 32];
        if !is_lower(digest) || !is_lower(id) || id.len() != 16 || hex::decode_to_slice(digest, &mut sha256).is_err() {
            return Err(NoPoolName);
        }
        let id = u64::from_str_radix(id, 16).map_err(|_| NoPoolName)?;
        Ok(PoolName { is_shard, sha256, id })
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = if self.is_shard { "shards" } else { "tsm" };
        write!(f, "{folder}/{}.{:016x}", hex::encode(self.sha256), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_it_was_written_and_nothing_else_is_one() {
        let digest = "ab".repeat(32);
        for name in [piece_name(&digest), shard_name(&digest)] {
            assert_eq!(name.parse::<PoolName>().unwrap().to_string(), name);
        }
        let upper = "AB".repeat(32);
        for wrong in [
            "pool.json".to_owned(),
            format!("marks/tsm/{digest}.0123456789abcdef"),
            format!("tsm/{digest}"),
            format!("tsm/{digest}.1"),
            format!("tsm/{upper}.0123456789abcdef"),
            format!("tsm/{digest}.0123456789ABCDEF"),
            format!("tsm/{digest}.+123456789abcdef"),
            format!("tsm/{digest}ab.0123456789abcdef"),
            format!("other/{digest}.0123456789abcdef"),
        ] {
            assert_eq!(wrong.parse::<PoolName>(), Err(NoPoolName), "{wrong}");
        }
    }
}
