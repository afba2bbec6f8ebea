//! Sharing in a folder: two names of one file (hard links).

use std::io::{self, ErrorKind};

use async_trait::async_trait;

use super::{Call, Folder, info, names, stat, write};
use crate::{Composition, Error, ObjectInfo, Piece, Sharing, Store, Target};

#[async_trait]
impl Sharing for Folder {
    fn composition(&self) -> Option<Composition> {
        None
    }

    /// A folder keeps nothing of what is deleted.
    async fn create_keeping_container(&self, container: &str) -> Result<(), Error> {
        self.create_container(container).await
    }

    async fn compose(&self, container: &str, name: &str, _pieces: &[Piece]) -> Result<ObjectInfo, Error> {
        let operation = format!("compose {container}/{name}");
        Err(Error::Unsupported { operation, reason: "a file cannot consist of others".to_owned() })
    }

    async fn link(&self, container: &str, name: &str, target: &Target) -> Result<ObjectInfo, Error> {
        let directory = names::container_path(&self.root, container)?;
        let path = names::object_path(&self.root, container, name)?;
        let from = names::object_path(&self.root, &target.container, &target.name)?;
        let call = Call::new(&format!("link {}/{} to", target.container, target.name), &format!("{container}/{name}"));
        self.run(call, move || {
            let found = stat(&from)?;
            if !directory.is_dir() {
                return Err(ErrorKind::NotFound.into());
            }
            write::link(&directory, &from, &path)?;
            let linked = stat(&path)?;
            if linked.len() != found.len() {
                return Err(io::Error::new(ErrorKind::NotFound, "the target was replaced meanwhile"));
            }
            Ok(info(&linked))
        })
        .await
        .map_err(|error| match error {
            // What some file systems say that know no links.
            Error::Forbidden { operation, status, .. } => Error::Unsupported { operation, reason: status },
            other => other,
        })
    }

    async fn destroy(&self, container: &str, name: &str) -> Result<(), Error> {
        match self.delete(container, name).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn undelete(&self, _container: &str, _name: &str, _tag: Option<&str>) -> Result<bool, Error> {
        Ok(false)
    }
}
