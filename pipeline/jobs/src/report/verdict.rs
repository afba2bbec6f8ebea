//! The one thing that matters, before everything else: is the last night good, and is a restore proven?

use chrono::TimeDelta;

use super::days::Standing;
use super::model::Model;
use super::words;
use crate::list::State;

/// A night that was sealed longer ago than this is not the last one: backups come every day, and take some hours.
const NIGHT: TimeDelta = TimeDelta::hours(26);

/// A restore that was proven longer ago is no proof of what is backed up today.
const PROOF: TimeDelta = TimeDelta::days(3);

/// A week in which each night a seventh is verified, and a day for one that was missed.
const VERIFICATION: TimeDelta = TimeDelta::days(8);

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Good,
    /// Somebody should know.
    Warning,
    /// Somebody should do something.
    Bad,
}

impl Level {
    /// The name of it, for the page's colours.
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Warning => "warning",
            Level::Bad => "bad",
        }
    }

    /// What people are told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Warning => "look at this",
            Level::Bad => "not good",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Level::Good => "✓",
            Level::Warning => "!",
            Level::Bad => "✗",
        }
    }
}

/// What is said of one matter.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) title: &'static str,
    pub(super) level: Level,
    /// In a few words.
    pub(super) text: String,
    /// More of it.
    pub(super) note: String,
    /// As a part of the headline.
    pub(super) sentence: String,
}

/// What is said of all.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) level: Level,
    pub(super) headline: String,
    pub(super) cards: Vec<Card>,
}

/// Judges.
pub(super) fn of(model: &Model) -> Verdict {
    let (backup, restore, verification) = (backup(model), restore(model), verification(model));
    let joint = if (backup.level == Level::Good) == (restore.level == Level::Good) { "and" } else { "but" };
    let mut headline = format!("{}, {joint} {}", backup.sentence, restore.sentence);
    if model.damaged() > 0 {
        headline.push_str(&format!("; {}", verification.sentence));
    }
    let level = backup.level.max(restore.level).max(verification.level);
    Verdict { level, headline, cards: vec![backup, restore, verification, dumps(model)] }
}

fn backup(model: &Model) -> Card {
    let card =
        |level, text: String, note: String, sentence: String| Card { title: "Backup", level, text, note, sentence };
    let last = model.last_good().map(|night| {
        let listed = &night.listed;
        let points = listed.points.map(|points| format!(", {}", words::of(points, "point"))).unwrap_or_default();
        let what = format!("{}, {}{points}", words::size(listed.bytes), words::of(listed.shards, "shard"));
        (words::long_day(listed.night), what)
    });
    let newest = model.days.iter().rev().find(|day| day.standing != Standing::Awaited);
    let age = model.last_sealed().map(|sealed| words::age(model.at - sealed));
    let since = match (&last, &age) {
        (Some((day, _)), Some(age)) => format!("the last sealed night is {day}, sealed {age} ago"),
        _ => "no night is sealed".to_owned(),
    };
    let Some(newest) = newest else {
        return card(Level::Bad, "No night".to_owned(), since, "There is no night".to_owned());
    };
    let day = words::long_day(newest.date);
    let night = format!("The night of {day}");
    match newest.standing {
        Standing::Night(State::Ready) => {
            let is_late = model.last_sealed().is_none_or(|sealed| model.at - sealed > NIGHT);
            let (age, what) = (age.unwrap_or_default(), last.map(|(_, what)| what).unwrap_or_default());
            if is_late {
                let sentence = format!("No night was sealed for {age}");
                return card(Level::Bad, format!("Nothing for {age}"), since, sentence);
            }
            card(Level::Good, format!("Sealed {age} ago"), format!("{day}: {what}"), format!("{night} is sealed"))
        }
        Standing::Night(State::BackingUp) => {
            card(Level::Warning, "Under way".to_owned(), since, format!("{night} is being backed up"))
        }
        Standing::Night(State::Error) => card(Level::Bad, "Failed".to_owned(), since, format!("{night} failed")),
        Standing::Night(State::Unsealed) => {
            card(Level::Bad, "Not sealed".to_owned(), since, format!("{night} is not sealed"))
        }
        Standing::Night(State::Deleting | State::Deleted) => {
            card(Level::Bad, "Deleted".to_owned(), since, format!("{night} was deleted"))
        }
        Standing::Night(State::DumpsOnly) | Standing::Missing | Standing::Awaited => {
            card(Level::Bad, "Missing".to_owned(), since, format!("{night} is missing"))
        }
    }
}

fn restore(model: &Model) -> Card {
    let card = |level, text: &str, note: String, sentence: String| Card {
        title: "Restore",
        level,
        text: text.to_owned(),
        note,
        sentence,
    };
    let last = model.last_restore();
    if let Some((night, restored)) = last
        && restored.proven == Some(false)
    {
        let note = format!(
            "{} on {}, {} ago",
            words::long_day(night.listed.night),
            restored.host,
            words::age(model.at - restored.finished)
        );
        return card(
            Level::Bad,
            "Points differ",
            note,
            format!("{} counts other points than were backed up", restored.host),
        );
    }
    match (model.last_proven(), last) {
        (Some((night, restored)), _) => {
            let (age, day) = (model.at - restored.finished, words::long_day(night.listed.night));
            let note = format!("{day} on {}, every point counted", restored.host);
            let ago = words::age(age);
            if age > PROOF {
                return card(
                    Level::Warning,
                    &format!("Proven {ago} ago"),
                    note,
                    format!("no restore was proven for {ago}"),
                );
            }
            card(Level::Good, &format!("Proven {ago} ago"), note, "a restore is proven".to_owned())
        }
        (None, Some((night, restored))) => {
            let note = format!("{} on {}, but nothing was counted", words::long_day(night.listed.night), restored.host);
            card(Level::Warning, "Not proven", note, "no restore has been proven".to_owned())
        }
        (None, None) => {
            let note = "there is no record of a restore".to_owned();
            card(Level::Warning, "Never proven", note, "no restore has been proven".to_owned())
        }
    }
}

fn verification(model: &Model) -> Card {
    let card = |level, text: String, note: String| Card {
        title: "Verification",
        level,
        sentence: text.to_lowercase(),
        text,
        note,
    };
    let damaged = model.damaged();
    // Damage of an older night is a loss that the newer ones do not share.
    let of_last = model.last_good().is_some_and(|night| night.damaged > 0);
    let Some((night, last)) = model.last_verified() else {
        return card(Level::Warning, "Never verified".to_owned(), "there is no record of a verification".to_owned());
    };
    let part = last.slices.map(|of| format!(", 1/{of} of it")).unwrap_or_default();
    let ago = words::age(model.at - last.finished);
    let note = format!("last {ago} ago: {}, {}{part}", words::long_day(night.listed.night), last.extent);
    if damaged > 0 {
        let is_or_are = if damaged == 1 { "is" } else { "are" };
        let level = if of_last { Level::Bad } else { Level::Warning };
        return card(level, format!("{} {is_or_are} damaged", words::of(damaged, "object")), note);
    }
    let is_old = model.at - last.finished > VERIFICATION;
    card(if is_old { Level::Warning } else { Level::Good }, "No damage".to_owned(), note)
}

fn dumps(model: &Model) -> Card {
    let card =
        |level, text: String, note: String| Card { title: "Dumps", level, sentence: text.to_lowercase(), text, note };
    let (open, overdue) = (model.open_dumps(), model.overdue_dumps());
    let Some(last) = model.dumps.values().filter_map(|dumps| dumps.sealed).max() else {
        return card(Level::Good, "None".to_owned(), "no measurement is dumped into the archive".to_owned());
    };
    let ago = words::age(model.at - last);
    let measurements = words::of(model.dumps.len() as u64, "measurement");
    match (open, overdue) {
        (0, _) => card(Level::Good, "Complete".to_owned(), format!("{measurements}, the last {ago} ago")),
        (_, 0) => {
            let note = format!("{measurements}, the last {ago} ago; open until the next night is dumped");
            card(Level::Good, words::of(open, "open day"), note)
        }
        _ => {
            let text = format!("{} overdue", words::of(overdue, "open day"));
            card(Level::Warning, text, format!("{measurements}, the last {ago} ago; later nights could complete them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Night;
    use crate::report::model::samples::{at, model, night, ready, restored, verified};

    fn judged(nights: Vec<Night>, now: &str) -> String {
        let (day, time) = now.split_once(' ').unwrap();
        let verdict = of(&model(nights, at(day, time)));
        format!("{}: {}", verdict.level.name(), verdict.headline)
    }

    /// The night of 11 June 2016, sealed at 22:00, with a restore that was proven on 12 June at 00:17.
    fn proven() -> Night {
        let mut night = ready("2016-06-11");
        night.listed.restored = vec![restored(Some(true))];
        night.listed.verified = Some(verified(&[], 0));
        night
    }

    #[test]
    fn the_headline_says_whether_the_last_night_is_good_and_a_restore_proven() {
        let well = "The night of 11 June 2016 is sealed, and a restore is proven";
        assert_eq!(judged(vec![proven()], "2016-06-12 08:00:00"), format!("good: {well}"));
        // In the evening the next night is still to come; after that it is late, and at noon of the next day missing.
        assert_eq!(judged(vec![proven()], "2016-06-12 23:55:00"), format!("good: {well}"));
        assert_eq!(
            judged(vec![proven()], "2016-06-13 00:30:00"),
            "bad: No night was sealed for 26 hours, but a restore is proven"
        );
        assert_eq!(
            judged(vec![proven()], "2016-06-13 12:30:00"),
            "bad: The night of 12 June 2016 is missing, but a restore is proven"
        );
        let failed = || night("2016-06-12", State::Error);
        assert_eq!(
            judged(vec![proven(), failed()], "2016-06-13 08:00:00"),
            "bad: The night of 12 June 2016 failed, but a restore is proven"
        );
        assert_eq!(
            judged(vec![proven(), failed()], "2016-06-16 12:30:00"),
            "bad: The night of 15 June 2016 is missing, and no restore was proven for 4 days"
        );
    }

    #[test]
    fn a_restore_that_was_not_proven_is_none() {
        let with = |restores: &[Option<bool>]| {
            let mut night = proven();
            night.listed.restored = restores.iter().map(|proven| restored(*proven)).collect();
            judged(vec![night], "2016-06-12 08:00:00")
        };
        let sealed = "The night of 11 June 2016 is sealed, but";
        assert_eq!(with(&[]), format!("warning: {sealed} no restore has been proven"));
        assert_eq!(with(&[None]), format!("warning: {sealed} no restore has been proven"));
        assert_eq!(with(&[Some(false)]), format!("bad: {sealed} db2 counts other points than were backed up"));
    }

    #[test]
    fn damage_is_never_good() {
        let damaged = |day| {
            let mut night = ready(day);
            night.listed.verified = Some(verified(&["shards/a"], 0));
            night.damaged = 1;
            night
        };
        let well = "The night of 11 June 2016 is sealed, and a restore is proven";
        let mut last = damaged("2016-06-11");
        last.listed.restored = proven().listed.restored;
        assert_eq!(judged(vec![last], "2016-06-12 08:00:00"), format!("bad: {well}; 1 object is damaged"));
        let older = vec![damaged("2016-06-10"), proven()];
        assert_eq!(judged(older, "2016-06-12 08:00:00"), format!("warning: {well}; 1 object is damaged"));
    }
}
