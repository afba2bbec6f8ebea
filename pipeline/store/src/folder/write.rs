//! Writing one file so that it appears whole or not at all.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::names::UNFINISHED;
use crate::body::PIECE;
use crate::digest::Digests;
use crate::{Body, Digester};

/// Mode of directories and files before the umask: backups hold password hashes, so they are never for everyone.
pub(super) const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// How often a directory is made again that was removed under our hands, because its last object was deleted.
const DIRECTORY_TRIES: u32 = 100;

/// How often a link is made again that was swept away before it had its place.
const LINK_TRIES: u32 = 10;

/// What was found in a body other than what was declared.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) declared: String,
    pub(super) actual: String,
}

/// Writes `body` to `target`, which lies below `container`; `Some` where the body is not as declared, and then
/// nothing has changed.
///
/// The order is what makes it safe: all bytes into an unfinished file beside the target, fsync of the file, rename,
/// fsync of the directories. The unfinished file is locked as long as its writer lives, so that [`sweep`] can tell
/// the files of the dead.
pub(super) fn write(
    container: &Path,
    target: &Path,
    body: &Body,
    stop: &CancellationToken,
) -> io::Result<Option<Difference>> {
    let directory = target.parent().unwrap_or(container);
    let mut unfinished = begin(container, directory)?;
    let digests = copy(body, unfinished.as_file_mut(), stop)?;
    if let Some(difference) = compare(body.digests(), &digests) {
        return Ok(Some(difference));
    }
    unfinished.as_file().sync_all()?;
    if let Err(failed) = unfinished.persist(target) {
        if failed.error.kind() != io::ErrorKind::IsADirectory {
            return Err(failed.error);
        }
        // An empty directory of that name is what dead writers leave; one with objects in it stays.
        sweep(target)?;
        fs::remove_dir(target).map_err(|_| failed.error)?;
        failed.file.persist(target).map_err(|failed| failed.error)?;
    }
    for above in directory.ancestors().take_while(|above| above.starts_with(container)) {
        File::open(above)?.sync_all()?;
    }
    Ok(None)
}

/// Makes the directories between `container` and `directory`, and an unfinished file in the last.
fn begin(container: &Path, directory: &Path) -> io::Result<NamedTempFile> {
    let mut tries = 0;
    loop {
        tries += 1;
        match try_to_begin(container, directory) {
            Ok(Some(file)) => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound || !container.is_dir() => return Err(error),
            Err(error) if tries == DIRECTORY_TRIES => return Err(error),
            Ok(None) | Err(_) => {}
        }
    }
}

/// `None` when somebody swept the file away before it was locked.
fn try_to_begin(container: &Path, directory: &Path) -> io::Result<Option<NamedTempFile>> {
    let mut path = container.to_owned();
    for part in directory.strip_prefix(container).unwrap_or(Path::new("")) {
        path.push(part);
        match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(directory)?;
    let alive = file.as_file().try_lock().is_ok() && file.as_file().metadata()?.nlink() > 0;
    Ok(alive.then_some(file))
}

/// Copies the body, counting and hashing; reads one byte further than declared, to see that it ends there.
fn copy(body: &Body, file: &mut File, stop: &CancellationToken) -> io::Result<Digests> {
    let mut source = body.source.open()?.take(body.digests().bytes.saturating_add(1));
    let mut digester = Digester::new(None);
    let mut piece = vec![0; usize::try_from(PIECE).unwrap_or(usize::MAX)];
    loop {
        if stop.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the caller gave up"));
        }
        match source.read(&mut piece)? {
            0 => return Ok(digester.finish()),
            got => {
                digester.update(&piece[..got]);
                file.write_all(&piece[..got])?;
            }
        }
    }
}

fn compare(declared: &Digests, actual: &Digests) -> Option<Difference> {
    let (what, declared, actual) = if actual.bytes > declared.bytes {
        ("length", format!("{} bytes", declared.bytes), format!("at least {} bytes", actual.bytes))
    } else if actual.bytes != declared.bytes {
        ("length", format!("{} bytes", declared.bytes), format!("{} bytes", actual.bytes))
    } else if actual.md5 != declared.md5 {
        ("MD5", hex::encode(declared.md5), hex::encode(actual.md5))
    } else if actual.sha256 != declared.sha256 {
        ("SHA-256", hex::encode(declared.sha256), hex::encode(actual.sha256))
    } else {
        return None;
    };
    Some(Difference { what, declared, actual })
}

/// Removes the unfinished files that dead writers left in `directory`; those of living writers are locked and stay.
pub(super) fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        if is_unfinished
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// [`sweep`] in `directory` and all directories below it.
pub(super) fn sweep_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep_all(&entry.path())?;
        }
    }
    sweep(directory)
}

/// Removes `directory` and all directories below it, as far as they hold no objects and no living writer's file.
pub(super) fn remove_empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    sweep(directory)?;
    fs::remove_dir(directory)
}

/// Gives the file `from` a second name, `target`, which lies below `container`, in the place of what stood there: at once,
/// as [`write()`] does.
pub(super) fn link(container: &Path, from: &Path, target: &Path) -> io::Result<()> {
    let directory = target.parent().unwrap_or(container);
    let mut tries = 0;
    loop {
        tries += 1;
        match try_to_link(container, directory, from, target) {
            // Somebody swept it away: nothing tells that its writer is alive.
            Err(error) if error.kind() == io::ErrorKind::NotFound && from.exists() && tries < LINK_TRIES => {}
            other => {
                other?;
                break;
            }
        }
    }
    for above in directory.ancestors().take_while(|above| above.starts_with(container)) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn try_to_link(container: &Path, directory: &Path, from: &Path, target: &Path) -> io::Result<()> {
    let unfinished = begin(container, directory)?;
    let path = unfinished.path().with_extension("link");
    fs::hard_link(from, &path)?;
    // Renaming one name of a file to another one of it does nothing, and leaves the first.
    let renamed = fs::rename(&path, target);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => renamed,
    }
}
