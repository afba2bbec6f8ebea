//! What is said while a program runs: lines on stderr, for people, for machines, or for systemd's journal.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use indicatif::BinaryBytes;
use jobs::{Event, Progress};
use tracing::{debug, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::bars::Bars;
use crate::environment::Environment;
use crate::options::{General, LogFormat};
use crate::output;

/// Who hears what is said.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    /// A person at a terminal, with a bar below the lines.
    Terminal(Arc<Bars>),
    /// Lines: a file, a pipe, or a terminal where no bar is wanted.
    Lines,
    /// Lines, each a JSON object.
    Json,
    /// The journal, with fields.
    Journal,
}

impl Audience {
    fn of(general: &General, environment: &Environment, travelled: &Arc<AtomicU64>) -> Audience {
        let is_dumb = environment.get("TERM").is_none_or(|terminal| terminal == "dumb");
        match general.log_format {
            LogFormat::Json => Audience::Json,
            LogFormat::Text if is_journal(environment) => Audience::Journal,
            LogFormat::Text if io::stderr().is_terminal() && !general.quiet && !is_dumb => {
                Audience::Terminal(Bars::new(travelled))
            }
            LogFormat::Text => Audience::Lines,
        }
    }

    /// Who listens to a job.
    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        match self {
            Audience::Terminal(bars) => Arc::clone(bars) as Arc<dyn Progress>,
            _ => Arc::new(Logged),
        }
    }

    /// Does something with the terminal while nothing moves.
    pub(crate) fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Audience::Terminal(bars) => bars.suspended(work),
            _ => work(),
        }
    }

    /// Whether somebody looks at how far it is.
    pub(crate) fn is_watching(&self) -> bool {
        matches!(self, Audience::Terminal(_))
    }

    /// Whether also the last line, which tells why a program failed, is a record.
    pub(crate) fn wants_records(&self) -> bool {
        matches!(self, Audience::Json | Audience::Journal)
    }

    /// Whether it is read by `journalctl`.
    pub(crate) fn is_journal(&self) -> bool {
        matches!(self, Audience::Journal)
    }

    /// Nothing moves any more.
    pub(crate) fn end(&self) {
        if let Audience::Terminal(bars) = self {
            bars.end();
        }
    }
}

/// Begins to log as the options say. `travelled` are the bytes that a bar tells of.
pub(crate) fn begin(
    program: &str,
    general: &General,
    environment: &Environment,
    travelled: &Arc<AtomicU64>,
) -> Audience {
    let level = match general.verbose {
        _ if general.quiet => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Other crates only warn: what they tell in detail may hold tokens.
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("nightshard", level);
    let audience = Audience::of(general, environment, travelled);
    let ansi = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    // Fields are for machines; the words say the same.
    let words = debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{}", output::plain(&format!("{value:?}")).replace('\n', "\\n")),
        _ => Ok(()),
    });
    let layer = match &audience {
        Audience::Json => lines.json().flatten_event(true).with_timer(Seconds).boxed(),
        Audience::Terminal(bars) => {
            let bars = Arc::clone(bars);
            lines.fmt_fields(words).with_timer(Seconds).with_ansi(ansi).with_writer(move || bars.lines()).boxed()
        }
        Audience::Lines => lines.fmt_fields(words).with_timer(Seconds).with_ansi(ansi).boxed(),
        Audience::Journal => match tracing_journald::layer() {
            Ok(journal) => {
                let journal = journal.with_field_prefix(Some("NIGHTSHARD".to_owned()));
                journal.with_syslog_identifier(program.to_owned()).boxed()
            }
            // The journal reads the lines as well, and has times of its own.
            Err(_) => lines.fmt_fields(words).without_time().with_ansi(false).boxed(),
        },
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    audience
}

/// Whether stderr leads to the journal: systemd says in `JOURNAL_STREAM` which file it is, and whoever redirects it does not
/// change that variable.
fn is_journal(environment: &Environment) -> bool {
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    let stderr = stderr.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    stderr.is_some() && stderr.as_deref() == environment.get("JOURNAL_STREAM")
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
            Event::Planned { objects, bytes } => {
                info!(objects, bytes, "{objects} objects, about {}", BinaryBytes(bytes))
            }
            Event::Done { name, bytes } => info!(object = name, bytes, "{name} is done, {}", BinaryBytes(bytes)),
            Event::Waiting(what) => info!("waiting: {what}"),
            Event::Warning(what) => warn!("{what}"),
            other => debug!("{other:?}"),
        }
    }
}
