//! Retention: which nights of an archive stay and which leave, by a policy or because they were named, and why.
//!
//! A plan is a value. It is made from what the caller found, without a look at the store or at a clock, so that it
//! can be shown before it is carried out, and made again with the same result. Three questions are asked of each
//! night. What holds it whatever anybody wishes: a pin, a dump that is still open, a label that nobody asked for?
//! Which rule of the policy keeps it (`rules`)? Which database would have no good night without it (`guard`)? It
//! leaves when there is no answer to any of them.
//!
//! The rules are those that people know from other programs, and where those differ, the one that keeps more:
//!
//! - Rules count the nights that are there, not days of the calendar: when backups stop, nothing more leaves.
//! - While there are fewer years or months than a rule asks for, the oldest night stays, that one may go back to it.
//! - Nights of several InfluxDB in one archive do not compete. Each has the whole policy for itself.
//! - A night that is pinned or held fills its bucket as any other. Else a pin would cost room for one more night, and
//!   taking it away again would shift all the others.
//! - A damaged night fills none, so that a policy which asks for seven days leaves seven to restore from. Where it is
//!   all that there is of its day, it stays beside them, for some of it may still be saved.

mod guard;
mod health;
mod rules;

pub use health::Health;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{Error, Label};

/// Which nights are to stay. Each rule keeps some, and a night leaves that none of them keeps. A rule of 0 is not
/// asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// So many of the newest nights.
    pub last: u32,
    /// The newest night of so many hours.
    pub hourly: u32,
    /// The newest night of so many days.
    pub daily: u32,
    /// The newest night of so many weeks, which begin on Mondays.
    pub weekly: u32,
    /// The newest night of so many months.
    pub monthly: u32,
    /// The newest night of so many years.
    pub yearly: u32,
    /// Every night that is not further than this from the newest; whoever says 30 days keeps the night 30 days before
    /// it, too.
    pub within: Option<TimeDelta>,
}

impl Policy {
    /// Whether it has no rule. Such a policy keeps everything, for nobody means to lose all nights by saying nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        self.within.is_none() && counts.iter().all(|count| *count == 0)
    }
}

/// Which nights a policy is about. All others stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    /// Those without a label: who gave one wanted to find that night again.
    #[default]
    Unlabelled,
    /// Those with this label.
    Labelled(Label),
}

impl Selection {
    /// Why the policy is not about this night, where it is not.
    fn leaves_out(&self, night: &Candidate) -> Option<String> {
        match (self, &night.label) {
            (Selection::Unlabelled, None) => None,
            (Selection::Labelled(asked), Some(label)) if asked.as_str() == label => None,
            (_, Some(label)) => Some(format!("it has the label {label}")),
            (_, None) => Some("it has no label".to_owned()),
        }
    }
}

/// A sealed night, as much of it as a plan has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its container.
    pub container: String,
    /// The day that it is named after. Days, weeks, months and years go by it and not by the clock of the backup: a
    /// night that was caught up at 08:00 belongs to the day before.
    pub day: NaiveDate,
    /// The beginning of the hour that it is named after, where containers are named by the hour
    /// ([`hour_of`](crate::ContainerPattern::hour_of)).
    pub hour: Option<DateTime<FixedOffset>>,
    /// When the backup began.
    pub taken: DateTime<Utc>,
    /// Its label.
    pub label: Option<String>,
    /// The cluster id of the InfluxDB that it is of.
    pub source: String,
    /// The databases in it.
    pub databases: Vec<String>,
    /// How far it can be relied on.
    pub health: Health,
    /// Why it was pinned, if it was.
    pub pin: Option<String>,
    /// Why else it must stay for now, in words for people: `a run is at work in it`.
    pub holds: Vec<String>,
}

impl Candidate {
    /// What comes later is newer: by the name, then by the clock. A name of a day to come, given by mistake, counts
    /// as no later than the day after the backup by UTC, which no zone is ahead of; else that night would be the
    /// newest for years. The container decides at last, so that a plan does not depend on the order of a listing.
    fn age(&self) -> impl Ord + '_ {
        let tomorrow = self.taken.date_naive().checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
        let begun = self.hour.map_or(self.taken, |hour| hour.to_utc().min(self.taken));
        (self.day.min(tomorrow), begun, self.taken, self.container.as_str())
    }

    /// Why it stays whatever anybody wishes.
    fn bonds(&self) -> Vec<String> {
        let pin = self.pin.iter().map(|reason| match reason.trim() {
            "" => "pinned".to_owned(),
            reason => format!("pinned: {reason}"),
        });
        pin.chain(self.holds.iter().cloned()).collect()
    }

    fn is_damaged(&self) -> bool {
        self.health == Health::Damaged
    }
}

/// What becomes of each night, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each night.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// The nights that leave.
    pub fn leaving(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| !decision.keep)
    }

    /// The nights that stay.
    pub fn staying(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.keep)
    }
}

/// What becomes of a night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its container.
    pub container: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why, in words for people; there is always at least one reason.
    pub reasons: Vec<String>,
}

/// A night on the scales: as soon as there is a reason for it to stay, it stays.
struct Weighed<'a> {
    night: &'a Candidate,
    reasons: Vec<String>,
}

impl Weighed<'_> {
    fn stays(&self) -> bool {
        !self.reasons.is_empty()
    }

    fn decide(self, else_because: &str) -> Decision {
        let keep = self.stays();
        let reasons = if keep { self.reasons } else { vec![else_because.to_owned()] };
        Decision { container: self.night.container.clone(), keep, reasons }
    }
}

/// Which nights leave by a policy. The time zone is that in which hours are counted where nights are named by the
/// day.
///
/// Whatever the policy says, of each database of each InfluxDB the newest verified night stays, and where none is
/// verified, all of its nights do. That is told only of nights which no rule keeps.
#[must_use]
pub fn plan(policy: &Policy, selection: &Selection, candidates: &[Candidate], time_zone: Tz) -> Plan {
    let mut nights = weigh(candidates);
    let mut sources: BTreeMap<&str, Vec<&mut Weighed<'_>>> = BTreeMap::new();
    for weighed in &mut nights {
        match selection.leaves_out(weighed.night) {
            Some(reason) => weighed.reasons.push(reason),
            None => sources.entry(&weighed.night.source).or_default().push(weighed),
        }
    }
    for of_source in sources.values_mut() {
        rules::apply(policy, of_source, time_zone);
    }
    guard::keep_the_newest_good(&mut nights);
    Plan { decisions: nights.into_iter().map(|weighed| weighed.decide("no rule keeps it")).collect() }
}

/// What becomes of nights that were named, with or without a label, and of no others: they leave, unless one is
/// pinned or held, or a database would be left without a verified night. A decision to keep is a refusal, and its
/// reasons say why.
///
/// Unlike a policy, who names the newest verified night may have it leave as long as an older one stays. Where all
/// the verified nights of a database are named, the newest of them is refused.
///
/// # Errors
///
/// When a night is named that is not there: whoever mistook one name may have mistaken others.
pub fn plan_deletion(containers: &[String], candidates: &[Candidate]) -> Result<Plan, Error> {
    let there: BTreeSet<&str> = candidates.iter().map(|night| night.container.as_str()).collect();
    if let Some(container) = containers.iter().find(|container| !there.contains(container.as_str())) {
        return Err(Error::Missing { what: "backup", container: container.clone() });
    }
    let mut nights = weigh(candidates);
    let named = |weighed: &Weighed<'_>| containers.contains(&weighed.night.container);
    guard::refuse_the_last_good(&mut nights, named);
    let decisions = nights.into_iter().filter(named).map(|weighed| weighed.decide("it was named to leave"));
    Ok(Plan { decisions: decisions.collect() })
}

/// All nights, the newest first, with what holds them whatever anybody wishes.
fn weigh(candidates: &[Candidate]) -> Vec<Weighed<'_>> {
    let mut nights: Vec<_> = candidates.iter().map(|night| Weighed { night, reasons: night.bonds() }).collect();
    nights.sort_by(|one, other| other.night.age().cmp(&one.night.age()));
    nights
}
