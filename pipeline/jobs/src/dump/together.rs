//! Several dumps at once, over one pool of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt};

use super::Run;
use super::measurement::Made;
use super::task::Task;
use crate::{Error, Kind};

impl Run {
    /// Makes the dumps, and gives each task what came of it, in their order. Neighbours of one measurement take turns:
    /// they have one lock.
    ///
    /// An error for which `ends_all` is no matter of one dump alone: those under way come to their ends, no other one is
    /// begun, and the error is the result. So is an interruption.
    pub(super) async fn together<'a>(
        &self,
        tasks: &'a [Task],
        ends_all: impl Fn(&Error) -> bool,
    ) -> Result<Vec<(&'a Task, Result<Made, Error>)>, Error> {
        let at_once = self.job.config.parallel.clamp(1, tasks.len().max(1));
        let buffer_bytes = self.job.config.buffer_bytes / at_once;
        let over = AtomicBool::new(false);
        let (over, ends_all) = (&over, &ends_all);
        let of_one = tasks.chunk_by(|one, other| one.origin == other.origin);
        let made = stream::iter(of_one).map(|tasks| async move {
            let mut all = Vec::new();
            for task in tasks {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let made = self.dump_on_a_shelf(task, buffer_bytes).await;
                if made.as_ref().is_err_and(|error| ends_all(error) || self.interrupted()) {
                    over.store(true, Ordering::Relaxed);
                }
                all.push((task, made));
            }
            all
        });
        let made: Vec<_> = made.buffered(at_once).collect().await;
        if self.interrupted() {
            return Err(Error::interrupted());
        }
        let mut results = Vec::new();
        for (task, made) in made.into_iter().flatten() {
            match made {
                Err(error) if ends_all(&error) => return Err(error),
                made => results.push((task, made)),
            }
        }
        Ok(results)
    }

    /// Makes one dump; once more, with all of the spool for itself, when others have left it no room.
    async fn dump_on_a_shelf(&self, task: &Task, buffer_bytes: usize) -> Result<Made, Error> {
        let mut room = 0;
        loop {
            let shelf = Arc::new(self.spool.shelf(room).await?);
            match self.dump(task, &shelf, buffer_bytes).await {
                Err(_) if shelf.gave_way() && !self.interrupted() => {
                    tracing::info!(
                        "{} waits until the spool is empty: the dumps do not fit into it together",
                        task.origin
                    );
                    room = u64::MAX;
                }
                Err(error) if shelf.is_full() || error.kind() == Kind::Damage => {
                    return Err(error.during(format!("cannot dump {}", task.origin)));
                }
                made => return made,
            }
        }
    }
}
