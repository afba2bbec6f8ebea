//! This machine: its clock and its zone, room for files on their way, and the locks.

use std::path::PathBuf;
use std::time::Instant;

use archive::Date;
use chrono::{DateTime, Offset, TimeZone, Utc};
use influx::Influx;
use store::Store;

use super::{Check, Config};
use crate::backup::preflight;
use crate::blocking::blocking;
use crate::list::size;
use crate::spool::Spool;
use crate::{Error, Kind, Lock, clocks};

/// Whether the timers, which follow the machine's zone, and the names of the nights agree about the time of day.
pub(super) fn time_zone(config: &Config, now: DateTime<Utc>) -> Check {
    const ID: &str = "machine.time_zone";
    let zone = config.calendar.time_zone;
    let today = match config.calendar.night(Date::Today, now) {
        Ok(night) => night.container,
        Err(error) => return Check::failed(ID, &error.into()),
    };
    let local = now.with_timezone(&zone).format("%H:%M");
    let offset = |zone: chrono_tz::Tz| zone.offset_from_utc_datetime(&now.naive_utc()).fix();
    match config.machine_zone {
        Some(machine) if offset(machine) != offset(zone) => Check::warning(
            ID,
            format!("nights are counted in {zone}, where it is {local}, and this machine is in {machine}"),
            "timers and cron follow the machine's zone: set it to that of the nights (timedatectl set-timezone), or set \
             timezone, so that 23:55 is at the end of a night",
        ),
        _ => Check::ok(ID, format!("{zone}: it is {local}, and a backup of today goes into {today}")),
    }
}

/// How the clocks stand to each other.
pub(super) async fn clock(
    config: &Config,
    clocks: (DateTime<Utc>, Instant),
    store: Option<&dyn Store>,
    influx: Option<&Influx>,
) -> Check {
    const ID: &str = "machine.clock";
    let (ours, others) = clocks::ask(clocks, store, influx).await;
    if others.is_empty() {
        return Check::skipped(ID, "no other clock could be asked");
    }
    let told = clocks::compare(&config.calendar, Date::Night.into(), ours, &others);
    match told.as_slice() {
        [] => {
            let whose: Vec<&str> = others.iter().map(|clock| clock.whose.as_str()).collect();
            Check::ok(ID, format!("this machine agrees with {}", whose.join(" and ")))
        }
        told => Check::wrong(ID, told.join("; "), "which one is right? set the others, and keep them so with NTP"),
    }
}

/// Whether locks can be taken.
pub(super) async fn locks(config: &Config) -> Check {
    const ID: &str = "machine.locks";
    let folder = config.place.locks.clone();
    match within(config, "a lock", move || Lock::probe(&folder)).await {
        Ok(()) => Check::ok(ID, format!("{} takes locks", config.place.locks.display())),
        Err(error) => Check::failed(ID, &error),
    }
}

/// Whether the spool can be written to, and has room for what the backup puts there: the largest shards, if they are known.
pub(super) async fn spool(config: &Config, sizes: Option<Vec<u64>>, parallel: usize) -> Check {
    const ID: &str = "machine.spool";
    let (folder, limit) = (config.place.spool.clone(), config.place.spool_size);
    match within(config, "the spool", move || room(folder, sizes, parallel, limit)).await {
        Ok(found) => Check::ok(ID, found),
        Err(error) => Check::failed(ID, &error),
    }
}

fn room(folder: PathBuf, sizes: Option<Vec<u64>>, parallel: usize, limit: Option<u64>) -> Result<String, Error> {
    let spool = Spool::open(&folder)?;
    let free = spool.free_bytes()?;
    let told = format!("{} has {} free", folder.display(), size(free));
    let Some(sizes) = sizes else { return Ok(told) };
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if let Some(limit) = limit.filter(|limit| *limit < largest) {
        let message = format!("the largest shard has {}, and spool_size allows {}", size(largest), size(limit));
        return Err(Error::new(Kind::Failed, message).hint("raise spool_size: a shard needs as much as it is large"));
    }
    preflight::space(&spool, sizes, parallel, limit)?;
    Ok(format!("{told}; the largest shard has {}", size(largest)))
}

/// Blocking work that may hang, as on a file system whose server is gone.
async fn within<T: Send + 'static>(
    config: &Config,
    what: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    super::within(config.patience, what, blocking(work)).await
}
