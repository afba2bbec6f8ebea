//! How many bytes the files in a folder take at most while something happens.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Looks at a folder again and again, in a thread of its own.
#[derive(Debug)]
pub struct FolderWatch {
    over: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl FolderWatch {
    /// Begins to watch. The folder need not exist yet.
    #[must_use]
    pub fn start(folder: &Path) -> FolderWatch {
        let (folder, over) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&over);
        let watching = std::thread::spawn(move || {
            let (mut most, mut before) = (0, BTreeMap::<u64, u64>::new());
            while !ends.load(Ordering::Relaxed) {
                let now = lengths(&folder);
                // A look takes its time, in which one file may go and another one come. Only what was there before it and
                // after it was there at once.
                let at_once = before.iter().filter_map(|(file, length)| now.get(file).map(|now| *length.min(now)));
                most = most.max(at_once.sum());
                before = now;
                std::thread::yield_now();
            }
            most
        });
        FolderWatch { over, watching }
    }

    /// The most bytes that were seen.
    #[must_use]
    pub fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().expect("watching does not panic")
    }
}

/// The lengths of all files below the folder, and of those without a name that this process has open there, by their inodes.
fn lengths(folder: &Path) -> BTreeMap<u64, u64> {
    let mut files = BTreeMap::new();
    let mut note = |path: &Path| {
        if let Ok(found) = fs::metadata(path)
            && found.is_file()
        {
            files.insert(found.ino(), found.len());
        }
    };
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => note(&entry.path()),
            }
        }
    }
    for open in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        if fs::read_link(open.path()).is_ok_and(|target| target.starts_with(folder)) {
            note(&open.path());
        }
    }
    files
}
