//! Where the page goes: a file, or the archive.

use std::convert::Infallible;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use archive::ContainerPattern;
use chrono::format::{Item, StrftimeItems};
use store::{Store, StoreExt};

use crate::blocking::blocking;
use crate::{Error, Kind};

/// The container of published reports. No night can be called so: a pattern has the year in it, and this has no digit.
const CONTAINER: &str = "nightshard-report";

/// Where a page is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Html {
    /// It is printed.
    Stdout,
    /// Into a file.
    File(PathBuf),
}

impl FromStr for Html {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Html, Infallible> {
        Ok(if text == "-" { Html::Stdout } else { Html::File(PathBuf::from(text)) })
    }
}

/// Writes the page, whole or not at all.
pub(super) async fn write(file: &Path, html: String) -> Result<PathBuf, Error> {
    let target = file.to_owned();
    let failed = |target: &Path, error: &std::io::Error| {
        let operation = format!("write {}", target.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(Kind::Usage, format!("cannot {operation}: its folder does not exist"))
                    .hint("make the folder, or name another file with --html")
            }
            std::io::ErrorKind::InvalidInput => {
                Error::new(Kind::Usage, format!("cannot {operation}: it is neither a file nor nothing"))
                    .hint("a page replaces what it is written to: name another file, or print it with --html -")
            }
            std::io::ErrorKind::IsADirectory => Error::new(Kind::Usage, format!("cannot {operation}: it is a folder"))
                .hint(format!("name a file in it: --html {}", target.join("report.html").display())),
            _ => Error::io(operation, error),
        }
    };
    blocking(move || {
        // A link stays one: what it leads to is replaced.
        let target = std::fs::canonicalize(&target).unwrap_or(target);
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let write = || {
            if target.is_dir() {
                return Err(std::io::ErrorKind::IsADirectory.into());
            }
            if std::fs::symlink_metadata(&target).is_ok_and(|found| !found.is_file()) {
                return Err(std::io::ErrorKind::InvalidInput.into());
            }
            // As any new file: the user's umask decides who may read it.
            let permissions = Permissions::from_mode(0o666);
            let mut file =
                tempfile::Builder::new().prefix(".nightshard-").permissions(permissions).tempfile_in(folder)?;
            file.write_all(html.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&target)?;
            File::open(folder)?.sync_all()
        };
        match write() {
            Ok(()) => Ok(target),
            Err(error) => Err(failed(&target, &error)),
        }
    })
    .await
}

/// Stores the page in the archive; returns the name of the object with its container.
///
/// That it is HTML is told by its name: a Swift says so to browsers, a folder leaves it to whoever serves the file.
pub(super) async fn publish(store: &dyn Store, pattern: &ContainerPattern, html: &str) -> Result<String, Error> {
    let name = published_as(pattern);
    let failed = |error: store::Error| Error::from(error).during("cannot publish the report");
    store.create_container(CONTAINER).await.map_err(failed)?;
    store.put_bytes(CONTAINER, &name, html.as_bytes().to_vec().into()).await.map_err(failed)?;
    Ok(format!("{CONTAINER}/{name}"))
}

/// The name of a published report: `report.html`, with what tells a pattern and a label from others, so that several that
/// share an account have one each.
#[must_use]
pub fn published_as(pattern: &ContainerPattern) -> String {
    let items: Vec<Item<'_>> = StrftimeItems::new(pattern.as_str()).collect();
    let literal = |item: Option<&Item<'_>>| match item {
        Some(Item::Literal(text) | Item::Space(text)) => (*text).to_owned(),
        _ => String::new(),
    };
    let (before, after) = (literal(items.first()), literal(items.last()));
    let label = pattern.label().map(|label| format!("_{label}")).unwrap_or_default();
    format!("{before}report{after}{label}.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_night_is_taken_for_the_report_and_each_pattern_has_a_report_of_its_own() {
        let table = [
            ("%Y-%m-%d", "report.html"),
            ("prod1-%Y-%m-%d", "prod1-report.html"),
            ("%Y-%m-%d-prod1", "report-prod1.html"),
            ("%Y-%m-%dT%H%z", "report.html"),
            ("nightshard-%Y%m%d", "nightshard-report.html"),
            ("nightshard-report-%d-%b-%Y", "nightshard-report-report.html"),
        ];
        for (pattern, name) in table {
            let pattern: ContainerPattern = pattern.parse().unwrap();
            assert_eq!(published_as(&pattern), name);
            assert_eq!(pattern.day_of(CONTAINER), None, "{pattern}");
        }
        let labelled = ContainerPattern::default().labelled(Some("before-upgrade".parse().unwrap()));
        assert_eq!(published_as(&labelled), "report_before-upgrade.html");
    }
}
