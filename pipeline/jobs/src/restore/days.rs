//! Several nights in a row, the oldest first, for what was missed while nobody was there.
//!
//! Each takes the place of the one before, so that what is to be done with each of them has to be done in between: a
//! command is run once a night stands.

use std::io;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use archive::{Date, Dates};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use influx::Influx;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use store::Store;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{Config, Outcome, night, way};
use crate::{Error, Event, Kind, Progress};

/// How long a command may take to end once it is asked to.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often it is looked whether all that a command had started is gone.
const LOOK: Duration = Duration::from_millis(20);

/// Restores nights, and runs after each of them the command that was asked for.
///
/// # Errors
///
/// Until everything of a night lies checked on the local disk, nothing is changed. If the new state does not come up after
/// that, the old one is put back, and the error says so. That goes for an interruption too: the target is not left down.
///
/// Of several nights those that cannot be restored are in the [`Outcome`], and are an error only if none can.
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    influx: Influx,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let dates = config.calendar.begun(config.date, now);
    let (then, interrupt) = (config.then.clone(), config.interrupt.clone());
    way::check(&config)?;
    let single = matches!(dates, Dates::One(_));
    if !single && config.recovery.is_some() {
        let message = "a recovery brings one night back, not several";
        return Err(Error::new(Kind::Usage, message).hint("give the newest night there is with --date"));
    }
    let (mut restored, mut failures, mut first) = (Vec::<Outcome>::new(), Vec::new(), None);
    for date in dates.iter() {
        let mut unfinished = !single;
        let of_day = |text: String| if single { text } else { format!("{date}: {text}") };
        match night(config.clone(), date, now, Arc::clone(&store), influx.clone(), Arc::clone(&progress)).await {
            Ok(mut outcome) => {
                failures.extend(outcome.failures.drain(..).map(of_day));
                restored.push(outcome);
                if let Some(command) = &then {
                    let failed = after(command, date, &config, now, progress.as_ref()).await.err();
                    unfinished |= failed.is_some();
                    failures.extend(failed.map(|error| of_day(error.to_string())));
                }
            }
            Err(error) if single => return Err(error),
            Err(error) => {
                failures.push(of_day(error.to_string()));
                first.get_or_insert(error);
            }
        }
        if unfinished && interrupt.requested().now_or_never().is_some() {
            let nights: Vec<&str> = restored.iter().map(|outcome| outcome.container.as_str()).collect();
            let nights = if nights.is_empty() { "none".to_owned() } else { nights.join(", ") };
            let message = format!("interrupted; restored before: {nights}");
            return Err(Error::new(Kind::Failed, [vec![message], failures].concat().join("; ")));
        }
    }
    let Some(mut last) = restored.pop() else {
        return Err(first.unwrap_or_else(|| Error::new(Kind::Usage, "there is no night to restore")));
    };
    (last.failures, last.earlier) = (failures, restored);
    Ok(last)
}

/// Runs the command that follows a night, with the day in `NIGHTSHARD_DATE` and the label, if there is one, in
/// `NIGHTSHARD_LABEL`: our programs take their options from there. What it prints is talk, and goes to stderr. When the
/// job is asked to end, so is the command with all that it has started.
async fn after(
    command: &str,
    date: Date,
    config: &Config,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    progress.report(Event::Step(&format!("running `{command}`")));
    let failed = |error: &io::Error| Error::io(format!("run `{command}`"), error);
    let talk = io::stderr().as_fd().try_clone_to_owned().map_err(|error| failed(&error))?;
    let date = config.calendar.night(date, now)?.date;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(talk).env("NIGHTSHARD_DATE", date.to_string());
    if let Some(label) = config.calendar.pattern.label() {
        shell.env("NIGHTSHARD_LABEL", label.to_string());
    }
    // A group of its own, so that a signal reaches what the shell has started.
    let mut child = shell.process_group(0).kill_on_drop(true).spawn().map_err(|error| failed(&error))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        () = config.interrupt.requested() => None,
    };
    let status = match (ended, group) {
        (None, Some(group)) => end(&mut child, group).await,
        (None, None) => child.wait().await,
        (Some(status), _) => status,
    };
    let status = status.map_err(|error| failed(&error))?;
    if status.success() { Ok(()) } else { Err(Error::new(Kind::Failed, format!("`{command}` ended with {status}"))) }
}

/// Ends a command and what it has started, which may have something to put in order first.
async fn end(child: &mut Child, group: Pid) -> io::Result<ExitStatus> {
    // One that has ended meanwhile need not be told.
    let _ = kill_process_group(group, Signal::TERM);
    let gone = async {
        let status = child.wait().await;
        while test_kill_process_group(group).is_ok() {
            sleep(LOOK).await;
        }
        status
    };
    if let Ok(status) = timeout(FAREWELL, gone).await {
        return status;
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().await
}
