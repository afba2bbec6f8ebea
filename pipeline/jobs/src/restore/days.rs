//! Several nights in a row, the oldest first, for what was missed while nobody was there.
//!
//! Each takes the place of the one before, so that what is to be done with each of them has to be done in between: a
//! command is run once a night stands.

use std::sync::Arc;

use archive::{Date, Dates};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use influx::Influx;
use store::Store;

use super::{Config, Outcome, night, way};
use crate::{Error, Event, Kind, Progress, Shell};

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
/// `NIGHTSHARD_LABEL`: our programs take their options from there.
async fn after(
    command: &str,
    date: Date,
    config: &Config,
    now: DateTime<Utc>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    progress.report(Event::Step(&format!("running `{command}`")));
    let date = config.calendar.night(date, now)?.date;
    let label = config.calendar.pattern.label().map(|label| ("NIGHTSHARD_LABEL", label.to_string()));
    let environment = [("NIGHTSHARD_DATE", date.to_string())].into_iter().chain(label).collect();
    Shell { command, environment, input: Vec::new() }.run(&config.interrupt).await
}
