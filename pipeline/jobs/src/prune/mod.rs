//! Prune: nights leave the archive by a policy, or because they are named; and so do, later, the bytes that no night needs.
//!
//! ```text
//! every seal ─▶ what each night is, and names in the pool ─▶ plan ─▶ what holds a night that would leave ─▶ plan, shown
//!            ─▶ a night: marker, pin asked for, record of the deletion, seal, objects ─▶ … ─▶ collection of the pool
//! ```
//!
//! A plan changes nothing. What is carried out was planned before, and each night is looked at once more on its turn: it stays
//! if it was sealed anew, pinned, or taken up by a backup meanwhile. A run that is killed has left a record in the night
//! which it was at, and the next one goes on from there, whatever its policy.

mod dumps;
mod freed;
mod guard;
mod holds;
mod outcome;
mod plan;
mod remove;
mod survey;

pub use archive::retention::Policy;
pub use freed::Freed;
pub use outcome::Outcome;
pub use plan::{Fate, Planned, Untouched, plan};

use std::sync::Arc;
use std::time::Instant;

use archive::pool::{self, Collected, Gone};
use archive::{Calendar, Date, names};
use chrono::{DateTime, Utc};
use store::Store;

use crate::{Error, Event, Interrupt, Place, Progress};
use outcome::Done;

/// What a prune is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers. With a label the policy is about the nights that carry it.
    pub calendar: Calendar,
    /// Which nights stay. Without a rule all do.
    pub keep: Policy,
    /// These nights leave, and the policy is not asked. None named: by the policy.
    pub delete: Vec<Date>,
    /// Whether dumps leave as well, and which of them stay: none of the nights that are named.
    pub dumps: Option<Policy>,
    /// The container of the pool.
    pub pool: String,
    /// Nights that are read, and objects that are deleted, at once.
    pub parallel: usize,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// What a run of [`carry_out`] would do to the pool; `None` where there is none. Nothing is changed.
///
/// # Errors
///
/// When it is interrupted. What keeps the pool from being cleared is in [`Outcome::failures`].
pub async fn rehearse(config: &Config, planned: Planned, store: &dyn Store) -> Result<Outcome, Error> {
    let mut done = Done::default();
    let nights = planned.leaving().map(|fate| fate.container.clone()).collect();
    let gone = Gone { nights, unnamed: planned.unnamed.clone() };
    let collected = collect(config, &gone, store, &mut done, true).await?;
    Ok(Outcome::new(planned, done, collected, true))
}

/// Does what was planned, and then collects in the pool what no night needs.
///
/// # Errors
///
/// When it is interrupted: the same command goes on from there. A night that cannot be deleted does not keep the others, and a
/// pool that cannot be cleared not the nights; they are named in [`Outcome::failures`].
pub async fn carry_out(
    config: &Config,
    planned: Planned,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let mut done = Done::default();
    for fate in planned.leaving() {
        progress.report(Event::Step(&format!("deleting {}", fate.container)));
        match remove::night(config, fate, &planned.guard, now, &store, progress.as_ref()).await {
            Ok(removed) => done.night(fate, removed),
            Err(error) if error.is_interruption() => return Err(error),
            // The others may go all the same; this one stands as before, or the next run completes it.
            Err(error) => done.failures.push(format!("{}: {}", fate.container, error.with_hint())),
        }
    }
    for fate in planned.leaving_dumps() {
        progress.report(Event::Step(&format!("deleting the dumps of {}", fate.container)));
        match config.interrupt.unless(dumps::remove(config, &fate.container, store.as_ref())).await {
            Ok(removed) => done.dumps(removed),
            Err(error) if error.is_interruption() => return Err(error),
            Err(error) => done.failures.push(format!("dumps of {}: {}", fate.container, error.with_hint())),
        }
    }
    progress.report(Event::Step("collecting what no night needs"));
    let leaves = |container: &String| planned.leaving().any(|fate| fate.container == *container);
    for container in planned.spared.iter().filter(|container| !leaves(container)) {
        // Else it would be taken for a night that is being deleted, once its seal is lost.
        archive::remove(store.as_ref(), container, &names::deletion_record(container)).await?;
    }
    let gone = Gone { nights: std::mem::take(&mut done.gone), unnamed: planned.unnamed.clone() };
    let collected = collect(config, &gone, store.as_ref(), &mut done, false).await?;
    done.seconds = begun.elapsed().as_secs_f64();
    Ok(Outcome::new(planned, done, collected, false))
}

/// Collects in the pool, of which these nights have gone. That nothing could be taken from it is no failure of the rest.
async fn collect(
    config: &Config,
    gone: &Gone,
    store: &dyn Store,
    done: &mut Done,
    is_rehearsal: bool,
) -> Result<Option<Collected>, Error> {
    let work = async { Ok::<_, Error>(pool::collect(store, &config.pool, gone, is_rehearsal).await?) };
    match config.interrupt.unless(work).await {
        Ok(collected) => Ok(collected),
        Err(error) if error.is_interruption() => Err(error),
        Err(error) => {
            done.failures.push(format!("nothing more is taken from the pool: {}", error.with_hint()));
            Ok(None)
        }
    }
}
