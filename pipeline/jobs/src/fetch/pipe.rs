//! Dumps into a stream, in the order of days and names.
//!
//! A digest is known to be right at the end alone, and what has gone into a pipe cannot be called back; so each dump goes
//! through the spool, and nothing leaves it that was not checked. Some are fetched ahead while one flows.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use store::Store;

use super::download::{damaged, is_replaced, open};
use super::outcome::{Outcome, State};
use super::partial::Partial;
use super::plan::{Item, Plan, Unit};
use super::{Config, Output};
use crate::blocking::blocking;
use crate::looks::{self, Look};
use crate::spool::{Shelf, room};
use crate::{Error, Event, Kind, Progress, Spool};

/// How much is handed on at once.
const PIECE: usize = 256 << 10;

/// Writes all dumps of the plan, decompressed.
///
/// # Errors
///
/// When the store, the disk or the stream fails. A reader who has seen enough is no failure.
pub(super) async fn flow(
    config: &Config,
    store: &Arc<dyn Store>,
    plan: &Plan,
    output: Output,
    progress: &dyn Progress,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let all: Vec<(&Unit, &Item)> =
        plan.units.iter().flat_map(|unit| unit.items.iter().map(move |it| (unit, it))).collect();
    let bytes = all.iter().map(|(_, item)| item.object.bytes).fold(0, u64::saturating_add);
    progress.report(Event::Planned { objects: all.len() as u64, bytes });
    let spool = spool(config, &all).await?;
    let ahead: Vec<_> = all.iter().map(|(unit, item)| prepare(store.as_ref(), &spool, unit, item, progress)).collect();
    let mut ready = futures_util::stream::iter(ahead).buffered(config.parallel.max(1));
    let (mut output, mut items) = (Some(output), all.iter());
    while let Some(prepared) = ready.next().await {
        let Some((unit, item)) = items.next() else { break };
        let (shelf, file) = match prepared? {
            Ok(shelf) => shelf,
            Err((state, why)) => {
                progress.report(Event::Warning(&why));
                outcome.add(unit, item, state, Some(why));
                continue;
            }
        };
        let Some(mut writer) = output.take() else { break };
        let compression = unit.dump.as_ref().and_then(|dump| dump.compression.clone());
        let name = item.object.name.clone();
        let (writer, flowed) = blocking(move || {
            let flowed = copy(file, compression.as_deref(), &mut writer);
            drop(shelf);
            Ok((writer, flowed))
        })
        .await?;
        match flowed {
            Ok(()) => {}
            Err(Broken::Reader(error)) => return Err(Error::io(format!("read {name} from the spool"), &error)),
            Err(Broken::Writer(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(Broken::Writer(error)) => {
                return Err(Error::new(Kind::Failed, format!("cannot write {name} to stdout: {error}")));
            }
        }
        output = Some(writer);
        progress.report(Event::Done { name: &name, bytes: item.object.bytes });
        outcome.add(unit, item, State::Fetched, None);
    }
    Ok(())
}

/// The spool, if there is room for what lies in it together: those that are on their way, and the one that flows.
async fn spool(config: &Config, all: &[(&Unit, &Item)]) -> Result<Spool, Error> {
    let mut sizes: Vec<u64> = all.iter().map(|(_, item)| item.object.bytes).collect();
    sizes.sort_unstable_by_key(|bytes| std::cmp::Reverse(*bytes));
    let largest = sizes.first().copied().unwrap_or_default();
    let (folder, limit) = (config.place.spool.clone(), config.place.spool_size);
    if let Some(limit) = limit.filter(|limit| *limit < largest) {
        let message = format!("the largest dump has {largest} bytes, more than --spool-size, {limit} bytes");
        return Err(Error::new(Kind::Failed, message).hint("give a larger --spool-size, or none"));
    }
    let together = sizes.iter().take(config.parallel.max(1)).fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let needed = limit.map_or(together, |limit| limit.min(together));
    blocking(move || {
        let spool = Spool::open(&folder)?.limited(limit);
        room(spool.path(), needed, 0, "free space there, name a larger folder with --spool, or lower --jobs")?;
        Ok(spool)
    })
    .await
}

/// A checked dump in the spool, or what is to be said of it.
type Prepared = Result<(Shelf, File), (State, String)>;

async fn prepare(
    store: &dyn Store,
    spool: &Spool,
    unit: &Unit,
    item: &Item,
    progress: &dyn Progress,
) -> Result<Prepared, Error> {
    // Those that come first enter first, so that nobody waits for what comes after him.
    let shelf = spool.shelf(item.object.bytes).await?;
    let spooled = Item { object: item.object.clone(), target: shelf.file("dump") };
    let error = match looks::until_whole(progress, |look| read(store, look, &spooled)).await {
        Ok(file) => return Ok(Ok((shelf, file))),
        Err(error) => error,
    };
    match error.kind() {
        Kind::Damage if is_replaced(store, unit).await? => {
            let why = format!("{} was replaced in the archive meanwhile; run the same command again", item.object.name);
            Ok(Err((State::Failed, why)))
        }
        Kind::Damage => Ok(Err((State::Damaged, error.to_string()))),
        _ => Err(error),
    }
}

/// Reads a dump once.
async fn read(store: &dyn Store, look: Look, item: &Item) -> Result<File, Error> {
    let opened = item.clone();
    let mut partial = blocking(move || Partial::open(&opened)).await?;
    partial.begin_again()?;
    let download = open(store, look, &item.object, 0).await?;
    let partial = partial.receive(item, download).await?;
    if !partial.is_whole(item) {
        return Err(damaged(&item.object.name, "its SHA-256 is not that of its seal"));
    }
    partial.into_file()
}

/// Which side broke.
enum Broken {
    Reader(io::Error),
    Writer(io::Error),
}

fn copy(file: File, compression: Option<&str>, output: &mut dyn Write) -> Result<(), Broken> {
    let mut input: Box<dyn Read> = match compression {
        None => Box::new(file),
        Some("gzip") => Box::new(MultiGzDecoder::new(file)),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(file).map_err(Broken::Reader)?),
        Some(other) => {
            let reason = format!("it is compressed by {other}, which this version does not know");
            return Err(Broken::Reader(io::Error::other(reason)));
        }
    };
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece).map_err(Broken::Reader)? {
            0 => return output.flush().map_err(Broken::Writer),
            read => output.write_all(&piece[..read]).map_err(Broken::Writer)?,
        }
    }
}
