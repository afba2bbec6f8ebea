//! What is said while a program runs: lines on stderr.

use std::fmt;
use std::io::{self, IsTerminal};

use jobs::{Event, Progress};
use tracing::{debug, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::Environment;
use crate::options::{General, LogFormat};

/// Begins to log as the options say.
pub(crate) fn begin(general: &General, environment: &Environment) {
    let level = match general.verbose {
        _ if general.quiet => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Other crates only warn: what they tell in detail may hold tokens.
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("nightshard", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let ansi = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    let lines = match general.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_timer(Seconds).boxed(),
        // The journal has times of its own.
        LogFormat::Text if environment.get("JOURNAL_STREAM").is_some() => lines.without_time().with_ansi(false).boxed(),
        LogFormat::Text => lines.with_timer(Seconds).with_ansi(ansi).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// The time of a line, in UTC and in whole seconds.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Writes down what a job reports.
#[derive(Debug)]
pub(crate) struct Logged;

impl Progress for Logged {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Step(step) => info!("{step}"),
            Event::Planned { objects, bytes } => info!("{objects} objects, about {}", Bytes(bytes)),
            Event::Done { name, bytes } => info!("{name} is done, {}", Bytes(bytes)),
            Event::Waiting(what) => info!("waiting: {what}"),
            Event::Warning(what) => warn!("{what}"),
            other => debug!("{other:?}"),
        }
    }
}

/// A number of bytes as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match UNITS.iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.0 as f64 / *size as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(Bytes(0).to_string(), "0 bytes");
        assert_eq!(Bytes(1023).to_string(), "1023 bytes");
        assert_eq!(Bytes(1 << 20).to_string(), "1.0 MiB");
        assert_eq!(Bytes(3 << 29).to_string(), "1.5 GiB");
    }
}
