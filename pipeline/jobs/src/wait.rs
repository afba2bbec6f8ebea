//! Waits for the backup of a night instead of hoping that it is there.

use std::time::Duration;

use archive::{BackupManifest, Loaded, Night, NightState};
use chrono_tz::Tz;
use store::Store;
use tokio::time::{Instant, sleep};

use crate::{Error, Event, Kind, Progress};

/// The first pause between two looks; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The manifest of the night's backup, as soon as it is there.
///
/// An error of the backup's run is passed on and waited over: that run may be started again. So is a store that does
/// not answer for a while.
///
/// # Errors
///
/// [`Kind::Missing`] when the manifest is not there within `wait` (`None`: at once); [`Kind::Usage`] when the night
/// was named in another time zone than `time_zone`, for then "yesterday" would be two different days.
pub async fn for_backup(
    store: &dyn Store,
    night: &Night,
    time_zone: Tz,
    wait: Option<Duration>,
    progress: &dyn Progress,
) -> Result<Loaded<BackupManifest>, Error> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut said = String::new();
    loop {
        let left = wait.unwrap_or_default().saturating_sub(began.elapsed());
        let (state, failed) = match archive::night_state(store, &night.container).await {
            Ok(NightState::Ready(loaded)) => return in_time_zone(*loaded, time_zone),
            Ok(NightState::BackingUp(marker)) => {
                (format!("STATUS_BACKING_UP, on {} (process {})", marker.host, marker.process), false)
            }
            Ok(NightState::Failed(error)) => (format!("STATUS_ERROR, {error}"), true),
            Ok(NightState::Absent) => ("nothing is there yet".to_owned(), false),
            Err(error) if error.is_passing() && !left.is_zero() => (error.to_string(), true),
            Err(error) => return Err(error.into()),
        };
        if left.is_zero() {
            return Err(missing(night, wait, &state));
        }
        let state = format!("for the backup in {}: {state}", night.container);
        if state != said {
            progress.report(if failed { Event::Warning(&state) } else { Event::Waiting(&state) });
            said = state;
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn missing(night: &Night, wait: Option<Duration>, state: &str) -> Error {
    let message = format!("there is no backup in {}: {state}", night.container);
    Error::new(Kind::Missing, message).hint(match wait {
        None => "is the date right? --wait waits for a backup that is still to come",
        Some(_) => "look at the backup's own messages, then run this again once it is done",
    })
}

fn in_time_zone(loaded: Loaded<BackupManifest>, time_zone: Tz) -> Result<Loaded<BackupManifest>, Error> {
    let theirs = &loaded.document.time_zone;
    if theirs == time_zone.name() {
        return Ok(loaded);
    }
    let message =
        format!("the backup in {} counts days in {theirs}, this run in {time_zone}", loaded.document.container);
    Err(Error::new(Kind::Usage, message).hint(format!("give --timezone {theirs}, or set it in the configuration")))
}
