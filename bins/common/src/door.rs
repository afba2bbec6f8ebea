//! What happens between a command line and an exit code, the same for every program.

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use archive::manifest::Writer;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Command, Parser};
use jobs::{Interrupt, Metric, Place, Progress};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::environment::Environment;
use crate::exit::{Code, Failure};
use crate::layers::{self, Origin, Parsed, Run};
use crate::log::Audience;
use crate::options::{Common, Telling};
use crate::telling::{self, Ending};
use crate::values::ArchiveUrl;
use crate::{help, log, manual, openstack, output, print_config};

/// How long work in other threads may take to notice that the program ends. With [`Door::FAREWELL`] it stays below the
/// ten seconds after which people and service managers lose patience.
const LAST_THREADS: Duration = Duration::from_secs(3);

/// A program: its options, and the job behind them.
pub trait Door: Parser {
    /// Lines for `--help`: what people type.
    const EXAMPLES: &'static str;

    /// How long the job may take to end once a signal has asked it to; then it is dropped. A second signal drops it at
    /// once.
    const FAREWELL: Duration = Duration::from_secs(6);

    /// The options that every program has.
    fn common(&self) -> &Common;

    /// Who is told how a run ended; none of those that people run to see something.
    fn telling(&self) -> Option<&Telling> {
        None
    }

    /// Does the job.
    fn run(self, context: Context) -> impl Future<Output = Result<Report, Failure>>;
}

/// What a program knows besides its options.
#[derive(Clone)]
pub struct Context {
    /// When it began.
    began: (DateTime<Utc>, Instant),
    /// Where it runs.
    pub place: Place,
    /// The environment it was started in.
    pub environment: Environment,
    /// What its command line says that other programs understand too, as variables for them.
    pub given: Vec<(String, String)>,
    /// Who listens to the job.
    pub progress: Arc<dyn Progress>,
    /// Who hears what is said, and can be asked.
    pub(crate) audience: Audience,
    /// Bytes that have travelled to the archive and from it, counted where somebody watches.
    pub(crate) travelled: Arc<AtomicU64>,
    /// Whether somebody watches.
    pub(crate) is_watched: bool,
    /// Asks the job to end.
    pub interrupt: Interrupt,
}

impl Context {
    /// The present. The clock was read once, and nothing else reads it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let (began, at) = self.began;
        began + TimeDelta::from_std(at.elapsed()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("began", &self.began).field("place", &self.place).finish_non_exhaustive()
    }
}

/// What came out of a job.
#[derive(Debug)]
pub struct Report {
    json: Box<RawValue>,
    summary: String,
    failures: Vec<String>,
    metrics: Vec<Metric>,
    printed: Printed,
    /// How the program ends if something failed.
    failed: Code,
}

/// What stdout gets for people.
#[derive(Debug)]
enum Printed {
    /// The summary.
    Summary,
    /// Something else, which was asked for.
    Text(String),
    /// It has had the data already.
    Nothing,
}

impl Report {
    /// The outcome as it is printed: as JSON, or as a summary for people; and the items that failed although the job
    /// as a whole did not.
    ///
    /// # Errors
    ///
    /// When the outcome cannot be JSON.
    pub fn new(outcome: &impl Serialize, summary: String, failures: &[String]) -> Result<Report, Failure> {
        let json = to_raw_value(outcome)
            .map_err(|error| Failure::failed(format!("cannot write the outcome as JSON: {error}")))?;
        Ok(Report {
            json,
            summary,
            failures: failures.to_vec(),
            metrics: Vec::new(),
            printed: Printed::Summary,
            failed: Code::SomeFailed,
        })
    }

    /// The same with what the job has measured, for `--metrics`.
    #[must_use]
    pub fn measured(self, metrics: Vec<Metric>) -> Report {
        Report { metrics, ..self }
    }

    /// The same of a job that wrote its data to stdout itself, so that the summary is talk.
    #[must_use]
    pub fn beside_data(self) -> Report {
        Report { printed: Printed::Nothing, ..self }
    }

    /// The same with something else on stdout than the summary, which others are told nevertheless.
    #[must_use]
    pub fn printing(self, text: String) -> Report {
        Report { printed: Printed::Text(text), ..self }
    }

    /// The same of a job that verifies: what failed is damage that was found.
    #[must_use]
    pub fn of_damage(self) -> Report {
        Report { failed: Code::Damage, ..self }
    }
}

/// Runs a program from its command line to its exit code. This is all that `main` does.
#[must_use]
pub fn open<D: Door>() -> ExitCode {
    let command = help::complete(D::command(), D::EXAMPLES);
    let program = command.get_name().to_owned();
    panic::set_hook(Box::new(move |panic| output::failure(&fault(&program, panic))));
    // A panic has said what it had to say; unwinding has removed the temporary files.
    let code = panic::catch_unwind(AssertUnwindSafe(|| enter::<D>(&command))).unwrap_or(Code::Failed);
    code.into()
}

fn enter<D: Door>(command: &Command) -> Code {
    let environment = Environment::of_process();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match start::<D>(command, &arguments, environment) {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure);
            failure.code
        }
    }
}

fn start<D: Door>(command: &Command, arguments: &[OsString], environment: Environment) -> Result<Code, Failure> {
    if let Some(text) = manual::generated(command, D::EXAMPLES, arguments, &environment) {
        output::data(&text?)?;
        return Ok(Code::Done);
    }
    let run = match layers::parse(command, arguments, &environment)? {
        Parsed::Text(text) => {
            output::data(&text)?;
            return Ok(Code::Done);
        }
        Parsed::Run(run) => run,
    };
    let door = D::from_arg_matches(&run.matches).map_err(|error| Failure::failed(error.to_string()))?;
    let travelled = Arc::default();
    let audience = log::begin(command.get_name(), &door.common().general, &environment, &travelled);
    for warning in &run.warnings {
        tracing::warn!("{warning}");
    }
    let end = match door.common().general.print_config {
        true => print(&door, layers::table(command.get_name()), &run, &environment),
        false => work(door, command, (environment, given(&run)), &audience, travelled),
    };
    audience.end();
    match end {
        // Whoever reads records finds the last one, which matters most, in the same form.
        Err(failure) if audience.wants_records() => {
            match &failure.hint {
                // `journalctl` shows the message alone, and the hint is what one looks there for.
                Some(hint) if audience.is_journal() => tracing::error!(hint, "{}\nhint: {hint}", failure.message),
                hint => tracing::error!(hint, "{}", failure.message),
            }
            Ok(failure.code)
        }
        end => end,
    }
}

/// `--print-config`. Credentials that are incomplete are said after everything else was shown.
fn print<D: Door>(door: &D, table: &str, run: &Run, environment: &Environment) -> Result<Code, Failure> {
    let (account, failure) = match door.common().archive.archive {
        Some(ArchiveUrl::Swift) => match openstack::account(environment, Path::new(".")) {
            Ok(account) => (account.found, None),
            Err(failure) => (Vec::new(), Some(failure)),
        },
        _ => (Vec::new(), None),
    };
    output::data(&if door.common().general.json {
        print_config::as_json(&run.settings, &account)
    } else {
        print_config::as_toml(table, run.file.as_deref(), &run.settings, &account)
    })?;
    failure.map_or(Ok(Code::Done), Err)
}

/// The flags that all programs share, and the configuration file, as variables.
fn given(run: &Run) -> Vec<(String, String)> {
    let flags = run.settings.iter().filter(|setting| setting.shared && setting.origin == Origin::Flag);
    let flags = flags.filter_map(|flag| Some((layers::variable(&flag.key), flag.values.first()?.clone())));
    let file = run.file.iter().map(|file| ("NIGHTSHARD_CONFIG".to_owned(), file.display().to_string()));
    flags.chain(file).collect()
}

fn work<D: Door>(
    door: D,
    command: &Command,
    (environment, given): (Environment, Vec<(String, String)>),
    audience: &Audience,
    travelled: Arc<AtomicU64>,
) -> Result<Code, Failure> {
    let general = door.common().general.clone();
    let telling = door.telling().cloned().unwrap_or_default();
    let interrupt = Interrupt::new();
    let context = Context {
        began: (Utc::now(), Instant::now()),
        place: Place {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            process: std::process::id(),
            writer: Writer {
                program: command.get_name().to_owned(),
                version: command.get_version().unwrap_or_default().to_owned(),
            },
            locks: general.locks.clone(),
            spool: general.spool.clone(),
            spool_size: general.spool_size,
        },
        environment,
        given,
        progress: audience.progress(),
        audience: audience.clone(),
        travelled,
        is_watched: audience.is_watching(),
        interrupt: interrupt.clone(),
    };
    let after = context.clone();
    let runtime = runtime()?;
    let result = runtime.block_on(until_ended(door, context, &interrupt));
    audience.end();
    let result = result.and_then(|report| {
        match (general.json, general.quiet) {
            (true, _) => output::data(report.json.get())?,
            (false, is_quiet) => match &report.printed {
                Printed::Nothing => tracing::info!("{}", report.summary),
                _ if is_quiet => {}
                Printed::Summary => output::data(&output::plain(&report.summary))?,
                Printed::Text(text) => output::data(text)?,
            },
        }
        Ok(report)
    });
    for failure in result.iter().flat_map(|report| &report.failures) {
        tracing::error!("{failure}");
    }
    let code = match &result {
        Ok(report) if report.failures.is_empty() => Code::Done,
        Ok(report) => report.failed,
        Err(failure) => failure.code,
    };
    runtime.block_on(async {
        let measured = result.as_ref().map(|report| report.metrics.as_slice()).unwrap_or_default();
        let ending = ending(&after, code, &result);
        tokio::select! {
            () = telling::tell(&telling, &ending, measured) => {}
            _ = ended_by_signal() => tracing::warn!("ended by a signal before everybody was told of the outcome"),
        }
    });
    // Threads that still hash or write hold temporary files, which go when they end.
    runtime.shutdown_timeout(LAST_THREADS);
    result.map(|_| code)
}

/// Does the job, until it is done or a signal ends it.
async fn until_ended<D: Door>(door: D, context: Context, interrupt: &Interrupt) -> Result<Report, Failure> {
    let mut job = std::pin::pin!(door.run(context));
    let signal = tokio::select! {
        result = &mut job => return result,
        signal = ended_by_signal() => signal,
    };
    interrupt.request();
    tokio::select! {
        result = &mut job => result.map_err(|failure| signal.with(failure)),
        () = tokio::time::sleep(D::FAREWELL) => Err(signal),
        _ = ended_by_signal() => Err(signal),
    }
}

/// How the run ended, for others.
fn ending(context: &Context, code: Code, result: &Result<Report, Failure>) -> Ending {
    let (report, failure) = (result.as_ref().ok(), result.as_ref().err());
    Ending {
        format: "nightshard-outcome/1",
        program: context.place.writer.program.clone(),
        version: context.place.writer.version.clone(),
        host: context.place.host.clone(),
        started: context.began.0,
        finished: context.now(),
        seconds: context.began.1.elapsed().as_secs_f64(),
        exit_code: code as u8,
        success: code == Code::Done,
        summary: report.map(|report| report.summary.clone()),
        failures: report.map(|report| report.failures.clone()).unwrap_or_default(),
        error: failure.map(|failure| failure.message.clone()),
        hint: failure.and_then(|failure| failure.hint.clone()),
        outcome: report.map(|report| report.json.clone()),
    }
}

/// Blocking threads at most. They are made when they are needed, and each may cost memory of its own. Sixty-four shards have
/// one each, and six dumps two each, which wait for one another and for room in the spool; whoever is to give that room back must
/// find one too.
const BLOCKING_THREADS: usize = 96;

/// Few threads: the work is network and disk.
fn runtime() -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(2).max_blocking_threads(BLOCKING_THREADS).enable_all().build();
    built.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))
}

/// Waits for a signal that ends programs.
async fn ended_by_signal() -> Failure {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen to signals: {error}")));
    let (mut hangup, mut interrupt, mut terminate) =
        match (listen(SignalKind::hangup()), listen(SignalKind::interrupt()), listen(SignalKind::terminate())) {
            (Ok(hangup), Ok(interrupt), Ok(terminate)) => (hangup, interrupt, terminate),
            (Err(failure), _, _) | (_, Err(failure), _) | (_, _, Err(failure)) => return failure,
        };
    let (code, name) = tokio::select! {
        _ = hangup.recv() => (Code::Hangup, "SIGHUP"),
        _ = interrupt.recv() => (Code::Interrupted, "SIGINT"),
        _ = terminate.recv() => (Code::Terminated, "SIGTERM"),
    };
    Failure {
        code,
        message: format!("ended by {name} before the work was done"),
        hint: Some("temporary files are removed, and nothing was sealed".to_owned()),
    }
}

/// A panic, said to a person.
fn fault(program: &str, panic: &panic::PanicHookInfo<'_>) -> Failure {
    let payload = panic.payload();
    let what = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map_or(String::new(), |location| format!(" at {location}"));
    Failure {
        code: Code::Failed,
        message: format!("{program} stumbled over a mistake of its own{place}: {}", what.unwrap_or("no message")),
        hint: Some("please report this line, and what was being done".to_owned()),
    }
}
