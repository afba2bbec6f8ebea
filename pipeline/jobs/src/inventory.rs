//! The files in the tar of a shard, listed while it streams by.

use archive::manifest::ShardFile;
use sha2::{Digest, Sha256};
use tsm::tar::Event;

/// The files of the tar.
#[derive(Debug)]
pub(crate) struct Inventory {
    folder: String,
    files: Vec<ShardFile>,
    /// Of the file under way, where they get digests.
    hash: Option<Sha256>,
    foreign: Option<String>,
    /// When the files were written, as far as the tar tells.
    written: Vec<Written>,
}

/// When a file of the tar was written, by the clock of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The last part of its name.
    pub(crate) name: String,
    /// Since 1970.
    pub(crate) seconds: u64,
}

impl Inventory {
    /// Of a tar whose files all lie in `folder`, which ends with a slash; each has a digest of its own.
    pub(crate) fn new(folder: String) -> Inventory {
        Inventory { hash: Some(Sha256::new()), ..Inventory::without_digests(folder) }
    }

    /// The same with no digests, which take longer than all the rest.
    pub(crate) fn without_digests(folder: String) -> Inventory {
        Inventory { folder, files: Vec::new(), hash: None, foreign: None, written: Vec::new() }
    }

    /// Takes what the walker has come by.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry(entry) => {
                let name = entry.name.rsplit('/').next().unwrap_or_default();
                self.written.extend(entry.modified.map(|seconds| Written { name: name.to_owned(), seconds }));
                match entry.name.strip_prefix(&self.folder) {
                    Some(name) if !name.contains('/') => self.files.push(ShardFile {
                        name: name.to_owned(),
                        offset: entry.offset,
                        bytes: entry.bytes,
                        sha256: String::new(),
                        inside: None,
                    }),
                    _ => self.foreign = Some(entry.name.clone()),
                }
            }
            Event::Data(bytes) => {
                if let Some(hash) = &mut self.hash {
                    hash.update(bytes);
                }
            }
            Event::End => {
                if let (Some(hash), Some(file)) = (&mut self.hash, self.files.last_mut()) {
                    file.sha256 = hex::encode(hash.finalize_reset());
                }
            }
        }
    }

    /// When the files were written, as far as the tar tells.
    pub(crate) fn written(&self) -> &[Written] {
        &self.written
    }

    /// The files in their order, once the walker has come to the end; or which one does not belong there.
    pub(crate) fn finish(self) -> Result<Vec<ShardFile>, String> {
        match self.foreign {
            None => Ok(self.files),
            Some(name) => Err(format!("it holds {name:?}, which does not belong into {}", self.folder)),
        }
    }
}
