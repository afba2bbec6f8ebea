//! The archive: whether it answers, takes what it is given, and has room for a night.

use std::sync::Arc;
use std::time::Duration;

use archive::ContainerPattern;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use store::{Store, StoreExt};
use tokio::time::sleep;

use super::{Check, Config, within};
use crate::backup::preflight::TOKEN_LIFETIME;
use crate::blocking::blocking;
use crate::list::size;
use crate::spool::free_bytes;
use crate::{Error, Kind};

/// How the container of the probe is called; the machine's name follows, so that those of two never meet.
const PROBE: &str = "nightshard-probe-";

/// What is left of a probe that was cut off is removed by a later one, once it is so old.
const LEFT_OVER: TimeDelta = TimeDelta::minutes(10);

/// A container's listing may lag behind, and then it is not empty yet.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// How long tidying up may take: less than a program has that was asked to end.
const TIDYING: Duration = Duration::from_secs(5);

/// An archive that answers.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// When its token expires, where it cannot be renewed.
    pub token_expiry: Option<DateTime<Utc>>,
}

/// Writes an object, reads it, and removes it with its container.
pub(super) async fn probe(config: &Config, opened: Option<&Opened>) -> Check {
    const ID: &str = "archive.writable";
    let Some(Opened { store, .. }) = opened else {
        return Check::skipped(ID, "the archive does not answer");
    };
    if !config.write {
        return Check::skipped(ID, "nothing was written (--no-write)");
    }
    let container = match container(&config.place.host, &config.calendar.pattern) {
        Ok(container) => container,
        Err(error) => return Check::failed(ID, &error),
    };
    let name = format!("{container}/{:016x}", rand::random::<u64>());
    let tried = write_and_read(store.as_ref(), &container, &name);
    let tried = config.interrupt.unless(within(config.patience, "the archive", tried)).await;
    // Whatever came of it, also when this is to end: nothing is left behind that can be removed.
    let tidied = within(TIDYING, "the archive", tidy(store.as_ref(), &container, &name)).await;
    match (tried, tidied) {
        (Ok(()), Ok(())) => Check::ok(ID, "a probe was written, read, and removed"),
        (Err(error), _) => Check::failed(ID, &error),
        (Ok(()), Err(error)) => {
            let left = format!("{container} is left there: remove it; backups overwrite and remove objects as well");
            Check::wrong(ID, format!("the probe cannot be removed: {error}"), left)
        }
    }
}

/// The probe's container, which no program may take for a night.
fn container(host: &str, pattern: &ContainerPattern) -> Result<String, Error> {
    let host: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' }).take(64).collect();
    let container = format!("{PROBE}{host}");
    match pattern.day_of(&container) {
        None => Ok(container),
        Some(_) => Err(Error::new(Kind::Usage, format!("a container {container} would be a night"))
            .hint("choose another --container, or give --no-write")),
    }
}

async fn write_and_read(store: &dyn Store, container: &str, name: &str) -> Result<(), Error> {
    let content = Bytes::from(name.to_owned());
    store.create_container(container).await?;
    store.put_bytes(container, name, content.clone()).await?;
    let read = store.get_bytes(container, name, content.len() as u64).await?;
    if read != content {
        return Err(Error::new(Kind::Failed, format!("{name} is not what was written"))
            .hint("the store gives other bytes than it was given: it must not be trusted with backups"));
    }
    Ok(())
}

/// Removes the probe, those that were left, and the container; other than that it never existed is no error.
async fn tidy(store: &dyn Store, container: &str, name: &str) -> Result<(), Error> {
    match store.delete(container, name).await {
        Ok(()) | Err(store::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let left = match store.list_all(container, "").await {
        Err(store::Error::NotFound { .. }) => return Ok(()),
        listed => listed?,
    };
    let mut others = false;
    for entry in left.iter().filter(|entry| entry.name != name) {
        match store.find(container, &entry.name).await? {
            Some(info) if info.answered - info.modified > LEFT_OVER => {
                match store.delete(container, &entry.name).await {
                    Ok(()) | Err(store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some(_) => others = true,
            None => {}
        }
    }
    if others {
        // Another check of this machine is at it, and removes the container.
        return Ok(());
    }
    let mut pauses = PAUSES.into_iter();
    loop {
        match (store.delete_container(container).await, pauses.next()) {
            (Err(store::Error::Conflict { .. }), Some(pause)) => sleep(pause).await,
            (done, _) => return Ok(done?),
        }
    }
}

/// Whether the largest shard can be stored.
pub(super) fn limits(config: &Config, opened: Option<&Opened>, sizes: Option<&[u64]>) -> Check {
    let largest = sizes.and_then(|sizes| sizes.iter().copied().max()).unwrap_or(0);
    match opened.map(|opened| &opened.store) {
        None => Check::skipped(LIMITS, "the archive does not answer"),
        Some(store) => limited(store.max_object_size(), store.segment_size(), config.segment_size, largest),
    }
}

/// The name of that check.
const LIMITS: &str = "archive.limits";

/// What is to be said of a store that takes objects of so many bytes `at_most`, in segments of a size, if it has them.
fn limited(at_most: Option<u64>, segment: Option<u64>, wished: u64, largest: u64) -> Check {
    let Some(at_most) = at_most else {
        return Check::ok(LIMITS, "objects may be as large as the disk allows");
    };
    let told = match segment {
        Some(segment) => format!("objects of {} at most, in segments of {}", size(at_most), size(segment)),
        None => format!("objects of {} at most, since it has no static large objects", size(at_most)),
    };
    if largest > at_most {
        let hint = "raise segment_size, as far as the store allows, or ask its operator for static large objects";
        return Check::wrong(
            LIMITS,
            format!("the largest shard has {}, and the store takes {told}", size(largest)),
            hint,
        );
    }
    match segment {
        None => Check::warning(
            LIMITS,
            told,
            "a shard that grows beyond that cannot be stored: ask the operator for the slo middleware",
        ),
        Some(segment) if segment < wished => Check::warning(
            LIMITS,
            format!("{told}, less than segment_size = {}", size(wished)),
            "set segment_size to what the store takes in one piece",
        ),
        Some(_) => Check::ok(LIMITS, told),
    }
}

/// Whether the token lives as long as the next night.
pub(super) fn token(opened: Option<&Opened>, next_backup: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Check {
    const ID: &str = "archive.token";
    let Some(opened) = opened else {
        return Check::skipped(ID, "the archive does not answer");
    };
    let Some(expiry) = opened.token_expiry else {
        return Check::ok(ID, "credentials last as long as they are asked for");
    };
    let needed = next_backup.unwrap_or(now + TimeDelta::days(1)) + TOKEN_LIFETIME;
    let told = format!("the token expires at {}", expiry.format("%Y-%m-%d %H:%M UTC"));
    if expiry < needed {
        return Check::wrong(
            ID,
            format!("{told}, before the next night has ended, and cannot be renewed"),
            "use a password or an application credential instead of a bare token",
        );
    }
    Check::warning(ID, told, "use a password or an application credential, which last")
}

/// Whether a folder has room for another night.
pub(super) async fn room(config: &Config, opened: Option<&Opened>, sizes: Option<&[u64]>) -> Option<Check> {
    const ID: &str = "archive.room";
    let folder = config.folder.clone()?;
    if opened.is_none() {
        return Some(Check::skipped(ID, "the archive does not answer"));
    }
    let asked = folder.clone();
    let free = match within(config.patience, "the archive", blocking(move || free_bytes(&asked))).await {
        Ok(free) => free,
        Err(error) => return Some(Check::failed(ID, &error)),
    };
    let told = format!("{} has {} free", folder.display(), size(free));
    Some(match sizes.map(|sizes| sizes.iter().sum::<u64>()) {
        Some(needed) if needed > free => Check::wrong(
            ID,
            format!("{told}, and a night needs about {}", size(needed)),
            "free space there, or name a larger disk with --archive",
        ),
        Some(needed) => Check::ok(ID, format!("{told}; a night needs about {}", size(needed))),
        None => Check::ok(ID, told),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_never_a_night() {
        let pattern = |text: &str| text.parse::<ContainerPattern>().unwrap();
        assert_eq!(container("db 1/ä", &pattern("%Y-%m-%d")).unwrap(), "nightshard-probe-db-1--");
        assert_eq!(container("2016-06-11", &pattern("%Y-%m-%d")).unwrap(), "nightshard-probe-2016-06-11");
        let error = container("2016-06-11", &pattern("nightshard-probe-%Y-%m-%d")).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn the_largest_shard_must_fit() {
        const MIB: u64 = 1 << 20;
        let table = [
            (None, None, 9 * MIB, "Ok objects may be as large as the disk allows"),
            (Some(100 * MIB), Some(MIB), 9 * MIB, "Ok objects of 100.0 MiB at most, in segments of 1.0 MiB"),
            (
                Some(50 * MIB),
                Some(MIB / 2),
                9 * MIB,
                "Warning objects of 50.0 MiB at most, in segments of 512.0 KiB, less than segment_size = 1.0 MiB",
            ),
            (Some(5 * MIB), None, MIB, "Warning objects of 5.0 MiB at most, since it has no static large objects"),
            (
                Some(5 * MIB),
                None,
                9 * MIB,
                "Failed the largest shard has 9.0 MiB, and the store takes objects of 5.0 MiB at most, since it has no \
                 static large objects",
            ),
        ];
        for (at_most, segment, largest, expected) in table {
            let check = limited(at_most, segment, MIB, largest);
            assert_eq!(format!("{:?} {}", check.status, check.message), expected);
        }
    }

    #[test]
    fn a_token_must_outlive_the_next_night() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(store::Folder::open(folder.path()).unwrap());
        let at = |text: &str| format!("2016-06-{text}:00Z").parse::<DateTime<Utc>>().unwrap();
        let table = "
            # expires  | next backup | status
            -          | 11T21:55    | Ok
            11T23:00   | 11T21:55    | Failed
            12T03:54   | 11T21:55    | Failed
            12T03:56   | 11T21:55    | Warning
            12T12:00   | -           | Failed
            12T18:01   | -           | Warning";
        for row in table.lines().skip(2) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let time = |cell: &str| (cell != "-").then(|| at(cell));
            let opened = Opened { store: Arc::clone(&store), token_expiry: time(cells[0]) };
            let check = token(Some(&opened), time(cells[1]), at("11T12:00"));
            assert_eq!(format!("{:?}", check.status), cells[2], "{row}");
        }
    }
}
