//! Locks between the programs of one machine: files that the system unlocks when a program ends, however it ends.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use url::{Host, Url};

use crate::{Error, Kind};

/// A lock may outlive its holder by a moment: a child that is being forked shares it until it has become another
/// program.
const LINGERING: Duration = Duration::from_millis(500);

/// A held lock; dropped with the value.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a lock that nobody else may hold.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another program holds it, in either way.
    pub fn exclusive(folder: &Path, name: &str) -> Result<Lock, Error> {
        Lock::take(folder, name, File::try_lock)
    }

    /// Takes a lock that others may share, but nobody may hold exclusively.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another program holds it exclusively.
    pub fn shared(folder: &Path, name: &str) -> Result<Lock, Error> {
        Lock::take(folder, name, File::try_lock_shared)
    }

    fn take(folder: &Path, name: &str, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Lock, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
        let path = folder.join(file_name(name));
        // Opened for reading where it exists: a lock file that root made serves others as well.
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => create(&path),
            opened => opened,
        };
        Lock::hold(file, &path, lock)
    }

    /// Locks a directory itself, which leaves nothing behind in it: however a program was led there, it is the same one.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another program holds it.
    pub fn directory(directory: &Path) -> Result<Lock, Error> {
        Lock::hold(File::open(directory), directory, File::try_lock)
    }

    /// Whether locks can be taken in a folder; leaves nothing behind.
    ///
    /// # Errors
    ///
    /// When files cannot be made there, or not be locked.
    pub fn probe(folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
        let made = tempfile::Builder::new().prefix("nightshard-check-").suffix(".lock").tempfile_in(folder);
        let file = made.map_err(|error| Error::io(format!("make a lock in {}", folder.display()), &error))?;
        Lock::hold(file.reopen(), file.path(), File::try_lock).map(drop)
    }

    fn hold(
        file: std::io::Result<File>,
        path: &Path,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Lock, Error> {
        let file = file.map_err(|error| Error::io(format!("open the lock {}", path.display()), &error))?;
        let begun = Instant::now();
        let mut held = lock(&file);
        while matches!(held, Err(TryLockError::WouldBlock)) && begun.elapsed() < LINGERING {
            std::thread::sleep(LINGERING / 20);
            held = lock(&file);
        }
        match held {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::Locked, format!("another run on this machine holds the lock {}", path.display()))
                    .hint("wait until it has ended; nothing was done"))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(format!("lock {}", path.display()), &error)),
        }
    }
}

/// The file of a lock, in a folder that other programs use as well. The name may be made of a container, a path or an
/// address; the file's must be one part of a path, not too long for one, and no other name's.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 150;
    let mut safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    if safe != name || safe.len() > LONGEST {
        safe.truncate(LONGEST);
        safe.push('-');
        safe.extend(hex::encode(Sha256::digest(name)).chars().take(16));
    }
    format!("nightshard-{safe}.lock")
}

/// Makes a lock file that the programs of other users can open too, whatever this one's umask.
fn create(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

/// The name of the lock for a target: a restore holds it exclusively, dumps share it. The machine's own addresses are
/// one, however they are written.
#[must_use]
pub fn target_name(url: &Url) -> String {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').to_ascii_lowercase(),
        Some(Host::Ipv4(address)) => own(address.into()),
        Some(Host::Ipv6(address)) => own(address.to_ipv4_mapped().map_or(address.into(), IpAddr::from)),
        None => String::new(),
    };
    format!("target-{host}-{}", url.port_or_known_default().unwrap_or_default())
}

/// An address as text; those that mean this machine as `localhost`.
fn own(address: IpAddr) -> String {
    let any = address == Ipv4Addr::UNSPECIFIED || address == Ipv6Addr::UNSPECIFIED;
    if any || address.is_loopback() { "localhost".to_owned() } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_names_that_no_file_can_have_exclude_each_other_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(5000);
        let held = Lock::exclusive(folder.path(), &long).unwrap();
        assert_eq!(Lock::exclusive(folder.path(), &long).unwrap_err().kind(), Kind::Locked);
        assert_eq!(Lock::shared(folder.path(), &long).unwrap_err().kind(), Kind::Locked);
        Lock::exclusive(folder.path(), &format!("{long}y")).unwrap();
        let _address = Lock::exclusive(folder.path(), "file:///a/b").unwrap();
        Lock::exclusive(folder.path(), "file____a_b").unwrap();
        drop(held);
        let one = Lock::shared(folder.path(), &long).unwrap();
        let other = Lock::shared(folder.path(), &long).unwrap();
        assert_eq!(Lock::exclusive(folder.path(), &long).unwrap_err().kind(), Kind::Locked);
        drop((one, other));
    }

    #[test]
    fn a_directory_is_locked_by_whatever_path_it_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::directory(folder.path()).unwrap();
        assert_eq!(Lock::directory(&folder.path().join(".")).unwrap_err().kind(), Kind::Locked);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(held);
        Lock::directory(folder.path()).unwrap();
    }

    #[test]
    fn one_target_has_one_name_however_it_is_written() {
        let name = |text: &str| target_name(&text.parse().unwrap());
        for text in
            ["http://localhost:8086", "http://127.0.0.1:8086/", "http://[::1]:8086", "http://LOCALHOST.:8086/path"]
        {
            assert_eq!(name(text), "target-localhost-8086", "{text}");
        }
        assert_eq!(name("http://0.0.0.0:8086"), "target-localhost-8086");
        assert_eq!(name("https://influx.example.com"), "target-influx.example.com-443");
        assert_ne!(name("http://localhost:8087"), name("http://localhost:8086"));
        assert_ne!(name("http://192.0.2.1:8086"), name("http://localhost:8086"));
    }
}
