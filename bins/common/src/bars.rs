//! A bar at the bottom of a terminal: how far a job is, how fast it goes, and how long it may take.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jobs::{Event, Progress};

use crate::log::Logged;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// While it is not known how much there is to do.
const OPEN: &str = "{spinner} {elapsed} {bytes} {binary_bytes_per_sec} {wide_msg}";

/// When it is.
const PLANNED: &str = "{bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left {wide_msg}";

/// The bar of a program.
#[derive(Debug)]
pub(crate) struct Bars {
    bar: ProgressBar,
    /// Bytes that have travelled to the archive and from it.
    travelled: Arc<AtomicU64>,
    counted: Mutex<Counted>,
}

/// What the job has told of.
#[derive(Debug, Default)]
struct Counted {
    objects: u64,
    planned: u64,
    /// Bytes of the objects that are done.
    bytes: u64,
}

impl Bars {
    /// A bar that is drawn from now on.
    pub(crate) fn new(travelled: &Arc<AtomicU64>) -> Arc<Bars> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(OPEN));
        let bars = Arc::new(Bars { bar, travelled: Arc::clone(travelled), counted: Mutex::default() });
        let watched: Weak<Bars> = Arc::downgrade(&bars);
        std::thread::spawn(move || {
            while let Some(bars) = watched.upgrade().filter(|bars| !bars.bar.is_finished()) {
                bars.advance();
                drop(bars);
                std::thread::sleep(TICK);
            }
        });
        bars
    }

    /// Takes the bar away for good.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Does something while the bar is away.
    pub(crate) fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Where lines go that stand above the bar.
    pub(crate) fn lines(self: &Arc<Bars>) -> Lines {
        Lines(Arc::clone(self))
    }

    fn advance(&self) {
        let done = self.counted.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        // What was there already has not travelled, and what is tried again has travelled twice.
        let position = self.travelled.load(Ordering::Relaxed).max(done);
        // What was planned was estimated.
        if self.bar.length().is_some_and(|length| length < position) {
            self.bar.set_length(position);
        }
        self.bar.set_position(position);
        self.bar.tick();
    }
}

impl Progress for Bars {
    fn report(&self, event: Event<'_>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Step(step) => self.bar.set_message(step.to_owned()),
            Event::Planned { objects, bytes } => {
                if counted.planned == 0 {
                    self.bar.set_style(style(PLANNED));
                }
                counted.planned += objects;
                self.bar.set_length(self.bar.length().unwrap_or(0) + bytes);
            }
            // The bar tells of it.
            Event::Done { name, bytes } => {
                (counted.objects, counted.bytes) = (counted.objects + 1, counted.bytes + bytes);
                let file = name.rsplit('/').next().unwrap_or(name);
                let of = if counted.planned > 0 { format!(" of {}", counted.planned) } else { String::new() };
                self.bar.set_message(format!("{}{of} done, {file}", counted.objects));
                return;
            }
            _ => {}
        }
        drop(counted);
        Logged.report(event);
    }
}

/// Writes to stderr without tearing the bar.
#[derive(Debug, Clone)]
pub(crate) struct Lines(Arc<Bars>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bar.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_right() {
        for template in [OPEN, PLANNED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn what_is_done_counts_also_where_it_has_not_travelled() {
        let travelled = Arc::new(AtomicU64::new(0));
        let bars = Bars::new(&travelled);
        bars.report(Event::Planned { objects: 2, bytes: 100 });
        bars.report(Event::Done { name: "night/shards/a", bytes: 60 });
        bars.advance();
        assert_eq!((bars.bar.position(), bars.bar.message()), (60, "1 of 2 done, a".to_owned()));
        travelled.store(70, Ordering::Relaxed);
        bars.advance();
        assert_eq!(bars.bar.position(), 70);
        travelled.store(120, Ordering::Relaxed);
        bars.advance();
        assert_eq!((bars.bar.position(), bars.bar.length()), (120, Some(120)), "the plan was an estimate");
        bars.report(Event::Planned { objects: 1, bytes: 50 });
        assert_eq!(bars.bar.length(), Some(170));
        bars.end();
    }
}
