//! Fetch: nights of the archive, or dumps of many nights, onto this machine, each file checked against its seal.
//!
//! ```text
//! containers ─▶ seals FIRST ─▶ plan ─▶ what lies here ─▶ store.get ─▶ digest check ─▶ in place ─▶ the seal LAST
//!                                └──▶ swift commands         └─▶ spool, digest check ─▶ stdout
//! ```
//!
//! Nothing in the archive is changed, and nothing on this machine but what was asked for: a file that is another one than
//! the archive's stays where it is, unless it may be replaced.

mod commands;
mod contents;
mod download;
mod here;
mod judge;
mod outcome;
mod partial;
mod pipe;
mod plan;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use archive::{Calendar, Date, Dates, Night};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use regex::Regex;
use store::Store;

use crate::blocking::blocking;
use crate::spool::room;
use crate::{Error, Event, Interrupt, Kind, Lock, Place, Progress, choice, clocks};
use contents::Contents;
use here::{Decided, Todo};
pub use outcome::{Fetched, Outcome, State};
use plan::Plan;

/// What is to be fetched, and where to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers.
    pub calendar: Calendar,
    /// Which nights; yesterday's where nothing is said, neither here nor by `matching`.
    pub dates: Option<Dates>,
    /// What the names of their containers match.
    pub matching: Option<Regex>,
    /// What of them.
    pub wanted: Wanted,
    /// Where it goes.
    pub destination: Destination,
    /// Whether files that are other ones than the archive's are replaced.
    pub force: bool,
    /// What is done.
    pub purpose: Purpose,
    /// Files that are fetched at once.
    pub parallel: usize,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No.
    No,
    /// Where there is one.
    IfThere,
    /// It was asked for.
    Yes,
}

/// What is wanted of a night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The backup.
    pub shards: Wish,
    /// The dumps.
    pub dumps: Wish,
    /// Of these measurements alone, with `*` and `?`; of all where none is named.
    pub measurements: Vec<String>,
}

impl Wanted {
    /// What somebody wants who asks for these; whoever asks for nothing wants whatever there is. Shards are of all measurements,
    /// so who names some wants their dumps.
    #[must_use]
    pub fn new(shards: bool, dumps: bool, measurements: Vec<String>) -> Wanted {
        let (shards, dumps) = match (shards, dumps || !measurements.is_empty()) {
            (false, false) => (Wish::IfThere, Wish::IfThere),
            (true, false) => (Wish::Yes, Wish::No),
            (false, true) => (Wish::No, Wish::Yes),
            (true, true) => (Wish::Yes, Wish::Yes),
        };
        Wanted { shards, dumps, measurements }
    }
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Below a folder, by the objects' names, as `swift download` does it.
    Folder(PathBuf),
    /// Directly into a folder: dumps alone, without their seals.
    Flat(PathBuf),
    /// One dump after the other into a stream.
    Stream,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Everything is fetched.
    Fetch,
    /// It is told what would be.
    DryRun,
    /// It is told how `swift` does it.
    Commands,
}

/// Where a stream goes.
pub type Output = Box<dyn Write + Send>;

/// What is said with the end of a run that was cut off.
const GOES_ON: &str = "what is in place stays, and the same command goes on where this one ended";

/// Fetches nights; `output` is for [`Destination::Stream`].
///
/// # Errors
///
/// [`Kind::Missing`] when there is nothing of what was asked for, [`Kind::Usage`] when two dumps would be one file,
/// [`Kind::Locked`] when another run is at the same folder; when the store or the disk fails. What is damaged is in the
/// [`Outcome`].
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    output: Output,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    let mut begun = Begun { config, store, progress, placed: 0 };
    match interrupt.unless(begun.fetch(now, output)).await {
        Err(error) if begun.config.destination == Destination::Stream || begun.config.purpose != Purpose::Fetch => {
            Err(error)
        }
        Err(error) if error.is_interruption() => {
            let message = format!("{} files were put in place", begun.placed);
            Err(Error::new(Kind::Failed, message).hint(GOES_ON))
        }
        Err(error) if begun.placed > 0 && error.kind() == Kind::Passing => Err(error.after_changes().hint(GOES_ON)),
        other => other,
    }
}

/// A fetch under way.
struct Begun {
    config: Config,
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
    /// Files that were put in place.
    placed: u64,
}

impl Begun {
    async fn fetch(&mut self, now: DateTime<Utc>, output: Output) -> Result<Outcome, Error> {
        let began = Instant::now();
        let (store, progress) = (Arc::clone(&self.store), Arc::clone(&self.progress));
        let config = self.config.clone();

        // 1. Which nights?
        let by_default = config.matching.is_none().then_some(Dates::One(Date::Yesterday));
        let dates = config.dates.or(by_default);
        let mut clocks = Vec::new();
        if let Some(dates) = dates {
            let seen = (now, began);
            clocks = clocks::look(&config.calendar, dates, seen, Some(store.as_ref()), None, progress.as_ref()).await;
        }
        let nights = nights(&config, store.as_ref(), dates, now).await?;

        // 2. What do their seals say?
        let many = if nights.len() == 1 { "night" } else { "nights" };
        progress.report(Event::Step(&format!("reading the seals of {} {many}", nights.len())));
        let mut contents = look(&config, &store, nights).await?;
        let containers = contents.iter().filter(|night| !night.groups.is_empty()).map(|night| night.container.clone());
        let dry_run = config.purpose == Purpose::DryRun;
        let mut outcome = Outcome::new(containers.collect(), &config.destination, dry_run);
        outcome.clocks = clocks;
        judge::judge(&mut contents, &config, dates, store.as_ref(), &mut outcome)?;

        // 3. Where does everything go?
        let plan = Plan::make(&contents, &config.destination)?;
        if config.purpose == Purpose::Commands {
            outcome.commands = Some(commands::commands(&plan, &contents, &config.destination));
            return Ok(outcome.finished(began.elapsed()));
        }
        let folder = match &config.destination {
            Destination::Stream => {
                pipe::flow(&config, &store, &plan, output, progress.as_ref(), &mut outcome).await?;
                return Ok(outcome.finished(began.elapsed()));
            }
            Destination::Folder(folder) | Destination::Flat(folder) => folder.clone(),
        };

        // 4. What is there already, and what is in the way?
        let _held = if dry_run { None } else { Some(hold(&folder).await?) };
        progress.report(Event::Step(&format!("comparing with what lies in {}", folder.display())));
        let decided = here::look(plan, config.force, config.parallel, &config.interrupt).await?;
        tell(&decided, dry_run, &mut outcome);
        if dry_run {
            return Ok(outcome.finished(began.elapsed()));
        }

        // 5. Is there room for the rest?
        let decided = make_room(&folder, decided).await?;

        // 6. Fetch it: checked, in place, and the seals last.
        let due =
            || decided.iter().flat_map(Decided::all).filter(|(_, todo)| matches!(todo, Todo::Fetch | Todo::Replace));
        let bytes = due().map(|(item, _)| item.object.bytes).fold(0, u64::saturating_add);
        progress.report(Event::Planned { objects: due().count() as u64, bytes });
        let placed = &mut self.placed;
        download::fetch(&store, &decided, config.parallel, progress.as_ref(), |ended| {
            let (unit, place) = ended.place;
            let (one, state) = (&decided[unit].unit, ended.state);
            if let Some(why) = &ended.why {
                progress.report(Event::Warning(why));
            }
            *placed += u64::from(state == State::Fetched);
            if let Some(item) = one.items.get(place).or(one.seal.as_ref()) {
                outcome.add(one, item, state, ended.why);
            }
        })
        .await?;
        Ok(outcome.finished(began.elapsed()))
    }
}

/// The nights that are meant, the oldest first. One that is named is asked for, whatever the listing says.
async fn nights(
    config: &Config,
    store: &dyn Store,
    dates: Option<Dates>,
    now: DateTime<Utc>,
) -> Result<Vec<Night>, Error> {
    let matching = config.matching.as_ref();
    if let (Some(Dates::One(date)), None) = (dates, matching) {
        return Ok(vec![config.calendar.night(date, now)?]);
    }
    let nights = choice::nights(store, &config.calendar, dates, matching, now).await?;
    Ok(nights.into_iter().rev().filter_map(|(_, container)| config.calendar.pattern.night_of(&container)).collect())
}

async fn look(config: &Config, store: &Arc<dyn Store>, nights: Vec<Night>) -> Result<Vec<Contents>, Error> {
    let looks = nights.iter().map(|night| contents::look(store.as_ref(), night, &config.wanted, config.parallel));
    let looks: Vec<_> = looks.collect();
    let mut looks = futures_util::stream::iter(looks).buffered(config.parallel.max(1));
    let mut contents = Vec::new();
    while let Some(night) = looks.next().await {
        contents.push(night?);
    }
    Ok(contents)
}

/// Makes the folder and keeps other runs out of it.
async fn hold(folder: &Path) -> Result<Lock, Error> {
    let folder = folder.to_owned();
    blocking(move || {
        std::fs::create_dir_all(&folder).map_err(|error| partial::to_disk(&folder, &error))?;
        Lock::directory(&folder)
    })
    .await
}

/// Tells of everything that is not to be fetched.
fn tell(decided: &[Decided], dry_run: bool, outcome: &mut Outcome) {
    for one in decided {
        for (item, todo) in one.all() {
            let path = item.target.display();
            match todo {
                Todo::Nothing => outcome.add(&one.unit, item, State::Present, None),
                Todo::Blocked => {
                    let why = format!("{path} cannot be put in place: what is there is no file; move it away");
                    outcome.add(&one.unit, item, State::Refused, Some(why));
                }
                Todo::Refuse => {
                    let why = match one.seal {
                        Some(Todo::Refuse) if one.unit.dump.is_none() => format!(
                            "{path} stays as it is: another backup than that of the archive lies there (--force replaces it)"
                        ),
                        _ => format!("{path} is not the file of the archive, and stays as it is (--force replaces it)"),
                    };
                    outcome.add(&one.unit, item, State::Refused, Some(why));
                }
                Todo::Fetch | Todo::Replace if dry_run => outcome.add(&one.unit, item, State::Due, None),
                Todo::Fetch | Todo::Replace => {}
            }
        }
        let others = one.strangers.iter().map(|path| {
            format!("{path} is no shard of this night, and influxd restore would take it for one; move it away")
        });
        outcome.failures.extend(others);
    }
}

/// Whether everything fits that is still to come; what nobody asks for any more goes before.
async fn make_room(folder: &Path, decided: Vec<Decided>) -> Result<Vec<Decided>, Error> {
    let folder = folder.to_owned();
    blocking(move || {
        here::sweep(&decided, &partial::path_of);
        let due = decided.iter().flat_map(Decided::all).filter(|(_, todo)| matches!(todo, Todo::Fetch | Todo::Replace));
        let missing = due.map(|(item, _)| {
            let begun = partial::path_of(item).metadata().map_or(0, |found| found.len());
            item.object.bytes.saturating_sub(begun)
        });
        let needed = missing.fold(0, u64::saturating_add);
        room(&folder, needed, 0, "free space there, or name another folder with --output or --flat")?;
        Ok(decided)
    })
    .await
}
