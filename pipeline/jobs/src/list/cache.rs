//! What was read of an archive before, kept on this machine: a file a night, with its documents by the ETags that the store
//! lists for them. A document whose ETag is another one is read again.
//!
//! Nothing depends on it: a file that is not there, not whole or not to be written is as good as none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{Document, Loaded};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use store::ObjectEntry;

/// Changed with what is kept: what another program has kept is not looked at.
const FORMAT: &str = "list-3";

/// The folder of one archive.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The part of `folder` that is for the archive at `location`.
    pub(super) fn of(folder: &Path, location: &str) -> Cache {
        Cache { folder: folder.join(FORMAT).join(name_of(location)) }
    }

    /// Removes what is kept of nights that there are no longer.
    pub(super) fn forget_others<'a>(&self, containers: impl Iterator<Item = &'a str>) {
        let known: BTreeSet<String> = containers.map(name_of).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| !known.contains(name)) {
                // One that stays is only of no use.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// What is kept of one night.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Where it is written to, if anywhere.
    file: Option<PathBuf>,
    documents: BTreeMap<String, Entry>,
    is_changed: bool,
}

/// A document.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    etag: String,
    loaded: Box<RawValue>,
}

impl Kept {
    /// Where nothing is kept.
    pub(super) fn nothing() -> Kept {
        Kept::default()
    }

    /// What is kept of a night.
    pub(super) fn of(cache: Arc<Cache>, container: &str) -> Kept {
        let file = cache.folder.join(name_of(container));
        let documents = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Kept { file: Some(file), documents, is_changed: false }
    }

    /// The document, if it is the one that is listed.
    pub(super) fn get<D: Document>(&self, listed: &ObjectEntry) -> Option<Loaded<D>> {
        let entry = self.documents.get(&listed.name).filter(|entry| Some(&entry.etag) == listed.etag.as_ref())?;
        serde_json::from_str(entry.loaded.get()).ok()
    }

    /// Keeps a document for the next time.
    pub(super) fn keep<D: Document>(&mut self, listed: &ObjectEntry, loaded: &Loaded<D>) {
        let Some(etag) = listed.etag.as_ref().filter(|_| self.file.is_some()) else { return };
        if self.documents.get(&listed.name).is_some_and(|entry| entry.etag == *etag) {
            return;
        }
        if let Ok(loaded) = to_raw_value(loaded) {
            self.documents.insert(listed.name.clone(), Entry { etag: etag.clone(), loaded });
            self.is_changed = true;
        }
    }

    /// Writes down what has changed.
    pub(super) fn write(&self) {
        let Some(file) = self.file.as_deref().filter(|_| self.is_changed) else { return };
        if let Err(error) = self.replace(file) {
            tracing::debug!("nothing is kept in {}: {error}", file.display());
        }
    }

    /// As a whole, since another list may read or write it at this moment.
    fn replace(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec(&self.documents)?)?;
        new.persist(file)?;
        Ok(())
    }
}

/// A file name for any text.
fn name_of(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use archive::records::DumpSelection;
    use chrono::{DateTime, NaiveDate};

    use super::*;

    fn document(measurement: &str) -> Loaded<DumpSelection> {
        let document = DumpSelection {
            format: DumpSelection::FORMAT.to_owned(),
            night: NaiveDate::from_ymd_opt(2016, 6, 11).unwrap(),
            time_zone: "UTC".to_owned(),
            writer: archive::manifest::Writer { program: "p".to_owned(), version: "v".to_owned() },
            database: "d".to_owned(),
            retention_policy: "r".to_owned(),
            measurements: vec![measurement.to_owned()],
            name: "n".to_owned(),
            encoding: "json".to_owned(),
            compression: None,
            page_size: 1000,
            window_start: DateTime::UNIX_EPOCH,
            window_end: DateTime::UNIX_EPOCH,
            covered_until: DateTime::UNIX_EPOCH,
            open: false,
        };
        Loaded { document, sha256: "aa".to_owned(), bytes: 7 }
    }

    fn listed(etag: Option<&str>) -> ObjectEntry {
        ObjectEntry { name: "night/manifests/x.json".to_owned(), bytes: 7, etag: etag.map(str::to_owned) }
    }

    #[test]
    fn a_document_is_kept_as_long_as_its_etag_is_listed() {
        let folder = test_support::temp_dir();
        let cache = Arc::new(Cache::of(folder.path(), "swift:AUTH_x at http://h"));
        let kept = || Kept::of(Arc::clone(&cache), "2016-06-11");
        let mut first = kept();
        first.keep(&listed(Some("one")), &document("cpu"));
        first.write();
        assert_eq!(kept().get::<DumpSelection>(&listed(Some("one"))), Some(document("cpu")));
        assert_eq!(kept().get::<DumpSelection>(&listed(Some("two"))), None);
        assert_eq!(kept().get::<DumpSelection>(&listed(None)), None, "a store without ETags cannot say that it stayed");
        assert_eq!(Kept::of(Arc::clone(&cache), "2016-06-12").get::<DumpSelection>(&listed(Some("one"))), None);
        let other = Arc::new(Cache::of(folder.path(), "swift:AUTH_y at http://h"));
        assert_eq!(Kept::of(other, "2016-06-11").get::<DumpSelection>(&listed(Some("one"))), None);
        let mut second = kept();
        second.keep(&listed(Some("two")), &document("mem"));
        second.write();
        assert_eq!(kept().get::<DumpSelection>(&listed(Some("two"))), Some(document("mem")));
        assert_eq!(kept().get::<DumpSelection>(&listed(Some("one"))), None, "the older one has gone");
        cache.forget_others(["2016-06-12"].into_iter());
        assert_eq!(kept().get::<DumpSelection>(&listed(Some("two"))), None);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_as_good_as_nothing() {
        let folder = test_support::temp_dir();
        let cache = Arc::new(Cache::of(folder.path(), "swift:"));
        let mut kept = Kept::of(Arc::clone(&cache), "night");
        kept.keep(&listed(Some("one")), &document("cpu"));
        kept.write();
        let file = cache.folder.join(name_of("night"));
        for broken in ["", "{", "[]", "{\"night/manifests/x.json\": {\"etag\": \"one\", \"loaded\": {}}}"] {
            fs::write(&file, broken).unwrap();
            assert_eq!(Kept::of(Arc::clone(&cache), "night").get::<DumpSelection>(&listed(Some("one"))), None);
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        kept.write();
        assert!(Kept::of(cache, "night").documents.is_empty());
    }
}
