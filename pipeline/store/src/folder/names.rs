//! Which names a folder can hold, and the paths that they become.

use std::path::{Path, PathBuf};

use crate::Error;

/// How the names of unfinished files begin. No object can be called so, and listings pass over them.
pub(super) const UNFINISHED: &str = ".nightshard-unfinished-";

/// The longest name of a file or directory on the file systems that matter, in bytes.
const LONGEST_PART: usize = 255;

/// The directory of a container.
pub(super) fn container_path(root: &Path, container: &str) -> Result<PathBuf, Error> {
    let fault =
        if container.contains('/') { Some("a container's name holds no '/'") } else { fault_of_part(container) };
    match fault {
        None => Ok(root.join(container)),
        Some(fault) => Err(Error::InvalidName { object: container.to_owned(), reason: fault.to_owned() }),
    }
}

/// The file of an object. Every part between slashes becomes a directory, the last one the file, so a name can
/// neither escape from its container nor be confused with another name.
pub(super) fn object_path(root: &Path, container: &str, name: &str) -> Result<PathBuf, Error> {
    let mut path = container_path(root, container)?;
    for part in name.split('/') {
        if let Some(fault) = fault_of_part(part) {
            return Err(Error::InvalidName { object: format!("{container}/{name}"), reason: fault.to_owned() });
        }
        path.push(part);
    }
    Ok(path)
}

/// What keeps `part` from being the name of a file or directory.
pub(super) fn fault_of_part(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("a folder has no room for an empty part, such as one after a final '/'"),
        "." | ".." => Some("'.' and '..' mean something else in a folder"),
        _ if part.contains('\0') => Some("it holds a null byte"),
        _ if part.len() > LONGEST_PART => Some("a part of it is longer than the 255 bytes that a file system allows"),
        _ if part.starts_with(UNFINISHED) => Some("names of unfinished files begin so"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_below_their_container() {
        let path = object_path(Path::new("/root"), "2016-06-11", "2016-06-11/shards/meta.00").unwrap();
        assert_eq!(path, Path::new("/root/2016-06-11/2016-06-11/shards/meta.00"));
        for name in ["...", "a b", "%2e%2e", "-", "c:\\d", "ä/☃", "a\nb", ".hidden", &"x".repeat(255)] {
            assert_eq!(object_path(Path::new("/r"), "c", name).unwrap(), Path::new("/r/c").join(name));
        }
    }

    #[test]
    fn names_that_escape_or_collide_are_refused() {
        let long = "x".repeat(256);
        let unfinished = format!("a/{UNFINISHED}b");
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/..",
            "a/../b",
            ".",
            "a/./b",
            "a//b",
            "a/",
            "a\0b",
            &long,
            &unfinished,
        ] {
            let refused = object_path(Path::new("/r"), "c", name);
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{name:?} gave {refused:?}");
        }
        for container in ["", "..", ".", "a/b", "/a", "a\0"] {
            let refused = container_path(Path::new("/r"), container);
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{container:?} gave {refused:?}");
        }
    }
}
