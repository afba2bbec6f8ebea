//! Listing a container of a folder: its files, in byte order of their names, one page at a time.

use std::fs;
use std::io;
use std::path::Path;

use super::names::fault_of_part;
use crate::ObjectEntry;

/// The first `limit` objects of the container in `directory` whose names begin with `prefix` and come after `after`.
pub(super) fn page(directory: &Path, prefix: &str, after: Option<&str>, limit: usize) -> io::Result<Vec<ObjectEntry>> {
    let mut walk = Walk { prefix, after, limit, found: Vec::new() };
    // Begin where the prefix leads, not at the top: the rest of the container is not even looked at.
    let (above, _) = prefix.rsplit_once('/').map_or(("", prefix), |(above, last)| (above, last));
    if above.is_empty() {
        walk.descend(directory, "")?;
    } else if above.split('/').all(|part| fault_of_part(part).is_none()) {
        walk.descend(&directory.join(above), &format!("{above}/"))?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    found: Vec<ObjectEntry>,
}

impl Walk<'_> {
    /// Takes the objects below `directory`, whose names all begin with `name` (empty, or ending in '/').
    fn descend(&mut self, directory: &Path, name: &str) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // Emptied and removed meanwhile, or a prefix that leads nowhere: nothing is listed.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // A directory sorts as its name with the slash that all names in it have: "a.b" comes before "a/c".
        let mut children: Vec<(String, bool)> = Vec::new();
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let Ok(mut child) = entry.file_name().into_string() else { continue };
            if fault_of_part(&child).is_some() || !(kind.is_dir() || kind.is_file()) {
                continue;
            }
            child.insert_str(0, name);
            if kind.is_dir() {
                child.push('/');
            }
            if self.wants(&child, kind.is_dir()) {
                children.push((child, kind.is_dir()));
            }
        }
        children.sort_unstable();
        for (child, is_directory) in children {
            if self.found.len() == self.limit {
                break;
            }
            let path = directory.join(child[name.len()..].trim_end_matches('/'));
            if is_directory {
                self.descend(&path, &child)?;
            } else if let Ok(metadata) = fs::symlink_metadata(&path) {
                self.found.push(ObjectEntry { name: child, bytes: metadata.len(), etag: None });
            }
        }
        Ok(())
    }

    /// Whether the object `name`, or anything in the directory `name`, belongs into the page.
    fn wants(&self, name: &str, is_directory: bool) -> bool {
        let after = self.after.unwrap_or_default();
        if is_directory {
            let reaches_prefix = name.starts_with(self.prefix) || self.prefix.starts_with(name);
            reaches_prefix && (name > after || after.starts_with(name))
        } else {
            name.starts_with(self.prefix) && (name > after || self.after.is_none())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn make(names: &BTreeSet<String>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        directory
    }

    /// Names of one to three parts; no name is the directory of another, since files end in "!" or "~".
    fn names() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("([ab.0-]{1,2}x/){0,2}[ab.0-]{1,2}[!~]", 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pages_together_are_the_sorted_names_with_the_prefix(
            names in names(), prefix in "([ab.]{0,2}(x/)?){0,2}", limit in 1_usize..7,
        ) {
            let directory = make(&names);
            let mut listed: Vec<ObjectEntry> = Vec::new();
            loop {
                let after = listed.last().map(|entry| entry.name.clone());
                let page = page(directory.path(), &prefix, after.as_deref(), limit).unwrap();
                prop_assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                listed.extend(page);
            }
            let expected: Vec<ObjectEntry> = names
                .iter()
                .filter(|name| name.starts_with(&prefix))
                .map(|name| ObjectEntry { name: name.clone(), bytes: name.len() as u64, etag: None })
                .collect();
            prop_assert_eq!(listed, expected);
        }

        #[test]
        fn a_page_may_begin_after_a_name_that_does_not_exist(names in names(), after in "[ab.0/~-]{0,4}") {
            let directory = make(&names);
            let listed: Vec<String> =
                page(directory.path(), "", Some(&after), 100).unwrap().into_iter().map(|entry| entry.name).collect();
            let expected: Vec<String> = names.iter().filter(|name| **name > after).cloned().collect();
            prop_assert_eq!(listed, expected);
        }
    }
}
