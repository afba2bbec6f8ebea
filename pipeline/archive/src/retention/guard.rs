//! The guard: no database is left without a good night, whatever a policy says or whoever names nights to leave.
//!
//! A good night is one that was verified. Nights of a database with none of them are all the hope that there is, so
//! they stay until one is verified; a backup that nobody has looked at may be as bad as one that is known to be
//! damaged. A night with a label or a pin is as good as any other.

use std::collections::BTreeMap;

use super::{Candidate, Health, Weighed};

/// A database of an InfluxDB.
type Database<'a> = (&'a str, &'a str);

/// The verified nights of each database, by their positions, the newest first.
fn verified<'a>(nights: &[Weighed<'a>]) -> BTreeMap<Database<'a>, Vec<usize>> {
    let mut verified: BTreeMap<Database<'a>, Vec<usize>> = BTreeMap::new();
    for (position, weighed) in nights.iter().enumerate() {
        if weighed.night.health == Health::Verified {
            for database in databases(weighed.night) {
                let nights = verified.entry(database).or_default();
                if nights.last() != Some(&position) {
                    nights.push(position);
                }
            }
        }
    }
    verified
}

fn databases(night: &Candidate) -> impl Iterator<Item = Database<'_>> {
    night.databases.iter().map(|database| (night.source.as_str(), database.as_str()))
}

/// Keeps the newest verified night of each database, and all nights of one that has none. The nights come the newest
/// first.
pub(super) fn keep_the_newest_good(nights: &mut [Weighed<'_>]) {
    let verified = verified(nights);
    for (position, weighed) in nights.iter_mut().enumerate().filter(|(_, weighed)| !weighed.stays()) {
        let mut losses = Losses::default();
        for database in databases(weighed.night) {
            match verified.get(&database).map(Vec::as_slice) {
                None | Some([]) => losses.hopeless.push(database.1),
                Some([only]) if *only == position => losses.only.push(database.1),
                Some([newest, ..]) if *newest == position => losses.newest.push(database.1),
                Some(_) => {}
            }
        }
        weighed.reasons = losses.reasons();
    }
}

/// Keeps of the nights that are named those without which a database would have no verified night. They go one after
/// the other, the oldest first, so that of several the newest is kept. The nights come the newest first.
pub(super) fn refuse_the_last_good(nights: &mut [Weighed<'_>], named: impl Fn(&Weighed<'_>) -> bool) {
    let before = verified(nights);
    let mut left = before.clone();
    for position in (0..nights.len()).rev() {
        let weighed = &mut nights[position];
        if !named(weighed) || weighed.stays() {
            continue;
        }
        let mut losses = Losses::default();
        for database in databases(weighed.night) {
            let is_only = |of: &BTreeMap<Database<'_>, Vec<usize>>| {
                of.get(&database).is_some_and(|positions| positions.iter().all(|other| *other == position))
            };
            match before.get(&database) {
                None => losses.hopeless.push(database.1),
                Some(_) if is_only(&before) => losses.only.push(database.1),
                Some(_) if is_only(&left) => losses.newest_named.push(database.1),
                Some(_) => {}
            }
        }
        weighed.reasons = losses.reasons();
        if !weighed.stays() {
            left.values_mut().for_each(|positions| positions.retain(|other| *other != position));
        }
    }
}

/// What would be lost with a night: databases, by what it is to them.
#[derive(Default)]
struct Losses<'a> {
    hopeless: Vec<&'a str>,
    only: Vec<&'a str>,
    newest: Vec<&'a str>,
    newest_named: Vec<&'a str>,
}

impl Losses<'_> {
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut tell = |databases: &[&str], say: fn(&str) -> String| {
            if !databases.is_empty() {
                reasons.push(say(&databases.join(", ")));
            }
        };
        tell(&self.only, |databases| format!("the only verified night of {databases}"));
        tell(&self.newest, |databases| format!("the newest verified night of {databases}"));
        tell(&self.newest_named, |databases| format!("without it no verified night of {databases} would stay"));
        tell(&self.hopeless, |databases| {
            format!("no verified night of {databases} is there, so none of {databases} leaves")
        });
        reasons
    }
}
