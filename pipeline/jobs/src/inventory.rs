//! The files in the tar of a shard, listed while it streams by.

use archive::manifest::ShardFile;
use sha2::{Digest, Sha256};
use tsm::tar::Event;

/// The files of the tar, each with a digest of its own.
pub(crate) struct Inventory {
    folder: String,
    files: Vec<ShardFile>,
    hash: Sha256,
    foreign: Option<String>,
}

impl Inventory {
    /// Of a tar whose files all lie in `folder`, which ends with a slash.
    pub(crate) fn new(folder: String) -> Inventory {
        Inventory { folder, files: Vec::new(), hash: Sha256::new(), foreign: None }
    }

    /// Takes what the walker has come by.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry(entry) => match entry.name.strip_prefix(&self.folder) {
                Some(name) if !name.contains('/') => self.files.push(ShardFile {
                    name: name.to_owned(),
                    offset: entry.offset,
                    bytes: entry.bytes,
                    sha256: String::new(),
                    inside: None,
                }),
                _ => self.foreign = Some(entry.name.clone()),
            },
            Event::Data(bytes) => self.hash.update(bytes),
            Event::End => {
                let digest = std::mem::take(&mut self.hash).finalize();
                if let Some(file) = self.files.last_mut() {
                    file.sha256 = hex::encode(digest);
                }
            }
        }
    }

    /// The files in their order, once the walker has come to the end; or which one does not belong there.
    pub(crate) fn finish(self) -> Result<Vec<ShardFile>, String> {
        match self.foreign {
            None => Ok(self.files),
            Some(name) => Err(format!("it holds {name:?}, which does not belong into {}", self.folder)),
        }
    }
}
