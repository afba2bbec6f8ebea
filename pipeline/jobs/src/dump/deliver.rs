//! Local copies of dumps.

use std::path::{Path, PathBuf};

use crate::Error;

/// Puts the spooled file into a folder, whole or not at all; one that is there is replaced, also by nothing.
pub(super) async fn deliver(spooled: &Path, folder: &Path, name: &str, bytes: u64) -> Result<Option<PathBuf>, Error> {
    let (spooled, folder, target) = (spooled.to_owned(), folder.to_owned(), folder.join(name));
    let delivered = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::PermissionsExt;

        if bytes == 0 {
            return match std::fs::remove_file(&target) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err((target, error)),
                _ => Ok(None),
            };
        }
        let write = || {
            // As any new file: the user's umask decides who may read it.
            let permissions = std::fs::Permissions::from_mode(0o666);
            let mut file =
                tempfile::Builder::new().prefix(".nightshard-").permissions(permissions).tempfile_in(&folder)?;
            let permissions = file.as_file().metadata()?.permissions();
            match std::fs::rename(&spooled, file.path()) {
                Ok(()) => {
                    *file.as_file_mut() = std::fs::File::open(file.path())?;
                    file.as_file().set_permissions(permissions)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                    std::io::copy(&mut std::fs::File::open(&spooled)?, &mut file)?;
                }
                Err(error) => return Err(error),
            }
            file.as_file().sync_all()?;
            file.persist(&target)?;
            std::fs::File::open(&folder)?.sync_all()
        };
        match write() {
            Ok(()) => Ok(Some(target)),
            Err(error) => Err((target, error)),
        }
    });
    let delivered = delivered.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    delivered.map_err(|(target, error)| match error.kind() {
        std::io::ErrorKind::StorageFull => Error::io(format!("write {}", target.display()), &error)
            .hint("the disk is full; free space there, or name another folder with --output"),
        _ => Error::io(format!("write {}", target.display()), &error),
    })
}
