//! The files of a folder into which `influxd backup` wrote, by what their names say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// The files, by name.
#[derive(Debug, Default)]
pub(in crate::verify) struct Files {
    /// `meta.NN`.
    pub(in crate::verify) metastores: BTreeSet<String>,
    /// `<database>.<policy>.<shard>.NN`, with the shard's id.
    pub(in crate::verify) shards: BTreeMap<String, u64>,
    /// `<time>.manifest`.
    pub(in crate::verify) manifests: BTreeSet<String>,
    /// `<time>.meta` and `<time>.s<shard>.tar.gz`, with the time.
    pub(in crate::verify) parts: BTreeMap<String, String>,
    /// `<any of these>.pending`: a download that has not come to its end.
    pub(in crate::verify) pending: BTreeSet<String>,
    /// What is nothing of these.
    pub(in crate::verify) others: BTreeSet<String>,
}

impl Files {
    /// Lists a folder.
    pub(super) fn list(folder: &Path) -> io::Result<Files> {
        let mut files = Files::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Whatever cannot be told from its name was not written by influxd.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.path().is_file() {
                files.add(name);
            }
        }
        Ok(files)
    }

    /// Whether any of them belongs to a backup.
    pub(super) fn is_backup(&self) -> bool {
        let Files { metastores, shards, manifests, parts, pending, .. } = self;
        !(metastores.is_empty() && shards.is_empty() && manifests.is_empty() && parts.is_empty() && pending.is_empty())
    }

    /// Adds one more.
    pub(in crate::verify) fn add(&mut self, name: String) {
        let known = Files::of(name.strip_suffix(".pending").unwrap_or(&name));
        match known {
            Some(_) if name.ends_with(".pending") => drop(self.pending.insert(name)),
            Some(Known::Metastore) => drop(self.metastores.insert(name)),
            Some(Known::Shard(id)) => drop(self.shards.insert(name, id)),
            Some(Known::Manifest) => drop(self.manifests.insert(name)),
            Some(Known::Part(time)) => drop(self.parts.insert(name, time)),
            None => drop(self.others.insert(name)),
        }
    }

    fn of(name: &str) -> Option<Known> {
        let is_number = |text: &str, least: usize| text.len() >= least && text.bytes().all(|it| it.is_ascii_digit());
        let (stem, ending) = name.rsplit_once('.')?;
        if stem == "meta" && is_number(ending, 2) {
            return Some(Known::Metastore);
        }
        if is_number(ending, 2) {
            // Names of databases and policies may hold dots; both may be empty, when only a shard was asked for.
            let (policy, id) = stem.rsplit_once('.')?;
            return (policy.contains('.') && is_number(id, 5)).then(|| id.parse().ok()).flatten().map(Known::Shard);
        }
        if ending == "manifest" && is_time(stem) {
            return Some(Known::Manifest);
        }
        let (time, part) = name.split_once('.')?;
        let is_shard = || is_number(part.strip_prefix('s')?.strip_suffix(".tar.gz")?, 1).then_some(());
        (is_time(time) && (part == "meta" || is_shard().is_some())).then(|| Known::Part(time.to_owned()))
    }
}

enum Known {
    Metastore,
    Shard(u64),
    Manifest,
    Part(String),
}

/// Whether it is a time as portable backups write it: `20261120T143817Z`.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|it| it.iter().all(u8::is_ascii_digit));
    bytes.len() == 16 && digits(0..8) && bytes.get(8) == Some(&b'T') && digits(9..15) && bytes.last() == Some(&b'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let table = "
            meta.00                                | metastore
            meta.100                               | metastore
            meta.0                                 | -
            demo.autogen.00001.00                  | shard 1
            a.b.c.autogen.00120.03                 | shard 120
            demo.autogen.1234567.100               | shard 1234567
            ..00008.00                             | shard 8
            demo.00001.00                          | -
            demo.autogen.0001.00                   | -
            20261120T143817Z.manifest              | manifest
            20261120T143817Z.meta                  | part
            20261120T143817Z.s12.tar.gz            | part
            20261120T143817Z.s.tar.gz              | -
            2026-11-20.manifest                    | -
            20261120T143817Z.s12.tar.gz.pending    | pending
            demo.autogen.00001.00.pending          | pending
            anything.pending                       | -
            notes.txt                              | -";
        for row in table.lines().skip(1) {
            let (name, expected) = row.split_once('|').unwrap();
            let mut files = Files::default();
            files.add(name.trim().to_owned());
            let found = match &files {
                Files { shards, .. } if !shards.is_empty() => format!("shard {}", shards.values().next().unwrap()),
                Files { metastores, .. } if !metastores.is_empty() => "metastore".to_owned(),
                Files { manifests, .. } if !manifests.is_empty() => "manifest".to_owned(),
                Files { parts, .. } if !parts.is_empty() => "part".to_owned(),
                Files { pending, .. } if !pending.is_empty() => "pending".to_owned(),
                _ => "-".to_owned(),
            };
            assert_eq!(found, expected.trim(), "{name}");
        }
    }
}
