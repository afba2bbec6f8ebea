//! Waits for the backup of a night instead of hoping that it is there.

use std::time::Duration;

use archive::records::DeletionRecord;
use archive::{BackupManifest, Loaded, Night, NightState};
use chrono_tz::Tz;
use store::Store;
use tokio::time::{Instant, sleep};

use crate::{Error, Event, Kind, Progress, unsealed};

/// The first pause between two looks; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often a person is told what is still being waited for.
const REMINDED: Duration = Duration::from_secs(60);

/// What is being waited for, said when it changes, and once a minute while it does not.
#[derive(Debug, Default)]
pub(crate) struct Told {
    last: Option<(String, Instant)>,
}

impl Told {
    /// Whether to say it now.
    pub(crate) fn is_due(&mut self, text: &str) -> bool {
        let due = self.last.as_ref().is_none_or(|(last, at)| last != text || at.elapsed() >= REMINDED);
        if due {
            self.last = Some((text.to_owned(), Instant::now()));
        }
        due
    }
}

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
    let mut told = Told::default();
    loop {
        let left = wait.unwrap_or_default().saturating_sub(began.elapsed());
        let mut hint = None;
        let (state, failed) = match archive::night_state(store, &night.container).await {
            Ok(NightState::Ready(loaded)) => return in_time_zone(*loaded, time_zone),
            Ok(NightState::BackingUp(marker)) => {
                (format!("STATUS_BACKING_UP, on {} (process {})", marker.host, marker.process), false)
            }
            Ok(NightState::Failed(error)) => (format!("STATUS_ERROR, {error}"), true),
            Ok(NightState::Deleted(deletion)) => (deleted(&deletion), true),
            Ok(NightState::Unsealed) => {
                hint = Some(unsealed::hint(night));
                (unsealed::UNSEALED.to_owned(), true)
            }
            Ok(NightState::Misnamed(object)) => {
                hint = Some(unsealed::hint_of_misnamed(night));
                (unsealed::misnamed(&night.container, &object), true)
            }
            Ok(NightState::Absent) => ("nothing is there yet".to_owned(), false),
            Err(error) if error.is_passing() && !left.is_zero() => (error.to_string(), true),
            Err(error) => return Err(error.into()),
        };
        if left.is_zero() {
            let error = missing(night, wait, &state);
            return Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        let state = format!("for the backup in {}: {state}", night.container);
        if told.is_due(&state) {
            progress.report(if failed { Event::Warning(&state) } else { Event::Waiting(&state) });
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What is said of a night that was deleted.
pub(crate) fn deleted(deletion: &DeletionRecord) -> String {
    let DeletionRecord { writer, host, .. } = deletion;
    let who = format!("by {} on {host}", writer.program);
    match deletion.finished {
        Some(finished) => format!("it was deleted {who} at {finished}; its dumps have stayed"),
        None => format!("it is being deleted {who}, since {}", deletion.started),
    }
}

fn missing(night: &Night, wait: Option<Duration>, state: &str) -> Error {
    let message = format!("there is no backup in {}: {state}", night.container);
    Error::new(Kind::Missing, message).hint(match wait {
        None => "is the date right? --wait waits for a backup that is still to come",
        Some(_) => "look at the backup's own messages, then run this again once it is done",
    })
}

/// The night, if it was named in this time zone.
pub(crate) fn in_time_zone(loaded: Loaded<BackupManifest>, time_zone: Tz) -> Result<Loaded<BackupManifest>, Error> {
    let theirs = &loaded.document.time_zone;
    if theirs == time_zone.name() {
        return Ok(loaded);
    }
    let message =
        format!("the backup in {} counts days in {theirs}, this run in {time_zone}", loaded.document.container);
    Err(Error::new(Kind::Usage, message).hint(format!("give --timezone {theirs}, or set it in the configuration")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use archive::{Calendar, ContainerPattern, Date};
    use store::Folder;

    use super::*;

    struct Said(Mutex<Vec<String>>);

    impl Progress for Said {
        fn report(&self, event: Event<'_>) {
            if let Event::Waiting(text) = event {
                self.0.lock().unwrap().push(text.to_owned());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_for_what_once_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        let calendar =
            Calendar { time_zone: Tz::UTC, night_ends: chrono::NaiveTime::MIN, pattern: ContainerPattern::default() };
        let now = chrono::DateTime::from_timestamp(1_465_603_200, 0).unwrap();
        let night = calendar.night(Date::Today, now).unwrap();
        let said = Said(Mutex::default());
        let wait = Some(Duration::from_secs(10 * 60));
        let error = for_backup(store.as_ref(), &night, Tz::UTC, wait, &said).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Missing, "{error}");
        let said = said.0.into_inner().unwrap();
        assert!(said.iter().all(|line| line == "for the backup in 2016-06-11: nothing is there yet"), "{said:?}");
        // A look every 15 s in the end, so that a reminder may be late by as much.
        assert!((8..=11).contains(&said.len()), "{said:?}");
    }
}
