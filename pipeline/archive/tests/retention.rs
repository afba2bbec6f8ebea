//! Which nights leave by a policy or by their names: a table for people, and what holds for every archive and policy.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use archive::retention::{Candidate, Decision, Health, Policy, Selection, plan, plan_deletion};
use archive::{ContainerPattern, Error};
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

const TABLE: &str = include_str!("retention.txt");

/// Read once: that every hour has a name of its own is tried for more than a year.
static HOURLY: LazyLock<ContainerPattern> = LazyLock::new(|| "%Y-%m-%dT%H%z".parse().unwrap());

/// A night of which nothing is known but its name; what comes before the year in it is a pattern's.
fn night(container: &str, zone: Tz) -> Candidate {
    let name = &container[container.find("20").unwrap()..];
    let hour = HOURLY.hour_of(name);
    let pattern = if hour.is_some() { HOURLY.clone() } else { ContainerPattern::default() };
    let day = pattern.day_of(name).unwrap();
    let late = || zone.from_local_datetime(&day.and_hms_opt(23, 55, 0).unwrap()).unwrap().to_utc();
    Candidate {
        container: container.to_owned(),
        day,
        hour,
        taken: hour.map_or_else(late, |hour| hour.to_utc() + TimeDelta::minutes(5)),
        label: pattern.label_of(name).map(str::to_owned),
        source: "one".to_owned(),
        databases: vec!["sensu_db".to_owned()],
        health: Health::Verified,
        pin: None,
        holds: Vec::new(),
    }
}

/// The same night with what a cell of the table says of it.
fn known(mut night: Candidate, cell: &str) -> Candidate {
    for mark in cell.split(';').map(str::trim) {
        match mark.split_once([' ', ':']).unwrap_or((mark, "")) {
            ("", _) => {}
            ("unverified", _) => night.health = Health::Unverified,
            ("damaged", _) => night.health = Health::Damaged,
            ("taken", at) => night.taken = at.parse().unwrap(),
            ("from", source) => night.source = source.to_owned(),
            ("of", names) => {
                night.databases = names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }
            ("pinned", why) => night.pin = Some(why.trim().to_owned()),
            ("held", why) => night.holds.push(why.trim().to_owned()),
            _ => panic!("{mark}"),
        }
    }
    night
}

fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    for rule in text.split(", ").filter(|rule| *rule != "none") {
        let (name, value) = rule.split_once(' ').unwrap();
        match name {
            "last" => policy.last = value.parse().unwrap(),
            "hourly" => policy.hourly = value.parse().unwrap(),
            "daily" => policy.daily = value.parse().unwrap(),
            "weekly" => policy.weekly = value.parse().unwrap(),
            "monthly" => policy.monthly = value.parse().unwrap(),
            "yearly" => policy.yearly = value.parse().unwrap(),
            "within" => {
                let (count, unit) = value.split_at(value.len() - 1);
                let minutes = BTreeMap::from([("d", 24 * 60), ("h", 60), ("m", 1)])[unit];
                policy.within = Some(TimeDelta::minutes(count.parse::<i64>().unwrap() * minutes));
            }
            _ => panic!("{rule}"),
        }
    }
    policy
}

/// A section of the table with what came out of it in the place of what was expected.
fn answered(section: &str) -> String {
    let (rows, settings): (Vec<&str>, Vec<&str>) = section.lines().skip(1).partition(|line| line.contains('|'));
    let settings: BTreeMap<&str, &str> = settings.into_iter().map(|line| line.split_once(": ").unwrap()).collect();
    let zone: Tz = settings.get("zone").unwrap_or(&"Europe/Berlin").parse().unwrap();
    let selection =
        settings.get("label").map_or(Selection::Unlabelled, |label| Selection::Labelled(label.parse().unwrap()));
    let cells: Vec<[&str; 3]> =
        rows.iter().map(|row| row.split('|').map(str::trim).collect::<Vec<_>>().try_into().unwrap()).collect();
    let mut nights: Vec<Candidate> = cells.iter().map(|[name, marks, _]| known(night(name, zone), marks)).collect();
    // A listing comes the oldest first.
    nights.reverse();
    let (decisions, why_leaving) = match settings.get("delete") {
        Some(names) => {
            let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
            (plan_deletion(&names, &nights).unwrap().decisions, "it was named to leave")
        }
        None => (plan(&policy(settings["policy"]), &selection, &nights, zone).decisions, "no rule keeps it"),
    };
    let mut said: BTreeMap<&str, String> = BTreeMap::new();
    let mut order = decisions.iter().map(|decision| decision.container.as_str());
    for Decision { container, keep, reasons } in &decisions {
        let answer = match (keep, reasons.as_slice()) {
            (true, reasons) => format!("stays: {}", reasons.join("; ")),
            (false, [reason]) if reason == why_leaving => "leaves".to_owned(),
            (false, reasons) => format!("leaves: {}", reasons.join("; ")),
        };
        said.insert(container, answer);
    }
    let mut answered: Vec<String> = section.lines().filter(|line| !line.contains('|')).map(str::to_owned).collect();
    for [name, marks, _] in cells {
        let answer = said.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        // The rows are in the order of the plan.
        let is_next = answer == "-" || order.next() == Some(name);
        answered.push(format!("{name} | {marks} | {answer}{}", if is_next { "" } else { " (in another place)" }));
    }
    answered.join("\n")
}

#[test]
fn every_night_stays_or_leaves_as_the_table_says_and_for_its_reasons() {
    let text: Vec<&str> = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let text = format!("\n{}", text.join("\n"));
    let sections: Vec<&str> = text.split("\n== ").skip(1).collect();
    assert!(sections.len() >= 60 && text.matches(" | ").count() >= 400, "{} sections", sections.len());
    let wrong: Vec<String> = sections
        .into_iter()
        .map(|section| (section, answered(section)))
        .filter(|(section, answered)| section != answered)
        .map(|(section, answered)| format!("expected: {section}\n\nfound: {answered}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n\n"));
}

#[test]
fn a_deletion_of_a_night_that_is_not_there_is_an_error_and_says_nothing_of_the_others() {
    let nights = [night("2016-06-11", Tz::Europe__Berlin), night("2016-06-10", Tz::Europe__Berlin)];
    let names = ["2016-06-10".to_owned(), "2016-06-1".to_owned()];
    let error = plan_deletion(&names, &nights).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error:?}");
    assert_eq!(error.to_string(), "there is no backup in 2016-06-1");
    assert!(plan_deletion(&[], &nights).unwrap().decisions.is_empty());
}

#[test]
fn a_plan_of_nothing_is_empty_and_a_policy_is_empty_only_without_any_rule() {
    assert!(plan(&policy("daily 3"), &Selection::default(), &[], Tz::UTC).decisions.is_empty());
    assert!(policy("none").is_empty());
    for rule in ["last 1", "hourly 1", "daily 1", "weekly 1", "monthly 1", "yearly 1", "within 0d"] {
        assert!(!policy(rule).is_empty(), "{rule}");
    }
}

#[test]
fn a_time_before_the_newest_night_that_is_negative_keeps_the_newest() {
    // Without databases, so that nothing else has a reason to keep it.
    let nights = ["2016-06-11", "2016-06-10"].map(|name| known(night(name, Tz::UTC), "of"));
    let policy = Policy { within: Some(TimeDelta::days(-3)), ..Policy::default() };
    let plan = plan(&policy, &Selection::default(), &nights, Tz::UTC);
    assert_eq!(plan.staying().map(|night| night.container.as_str()).collect::<Vec<_>>(), ["2016-06-11"]);
}

const DATABASES: [&str; 3] = ["metrics", "music", "sensu_db"];

/// A night of some day or hour between the end of 2015 and the summer of 2016.
fn some_night() -> impl Strategy<Value = Candidate> {
    let name = (0..240_u64, 0..24_i64, -20..20_i64, 0..2_usize, 0..3_usize, any::<bool>(), prop::bool::weighted(0.03));
    let health = prop_oneof![
        4 => Just(Health::Verified), 2 => Just(Health::Unverified), 1 => Just(Health::Damaged)
    ];
    let bonds = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let databases = prop::sample::subsequence(DATABASES.to_vec(), 0..=3);
    (name, health, bonds, databases).prop_map(
        |((day, hour, late, source, label, by_hour, is_mistaken), health, bonds, databases)| {
            let day = NaiveDate::from_ymd_opt(2015, 11, 20).unwrap() + Days::new(day);
            let taken = day.and_hms_opt(0, 0, 0).unwrap().and_utc() + TimeDelta::hours(hour);
            let local = taken.with_timezone(&Tz::Europe__Berlin);
            let label = [None, Some("by-hand"), None][label];
            let (hour, day) = if by_hour { (Some(local.fixed_offset()), local.date_naive()) } else { (None, day) };
            let day = if is_mistaken && hour.is_none() { day + Days::new(400) } else { day };
            // A night may be taken early by another clock; an hour has begun.
            let late = if by_hour { late.abs() } else { late };
            let name = if by_hour { local.format("%Y-%m-%dT%H%z").to_string() } else { day.to_string() };
            let after = label.map(|label| format!("_{label}")).unwrap_or_default();
            Candidate {
                container: format!("{source}-{name}{after}"),
                day,
                hour,
                taken: taken + TimeDelta::hours(late),
                label: label.map(str::to_owned),
                source: source.to_string(),
                databases: databases.into_iter().map(str::to_owned).collect(),
                health,
                pin: bonds.0.then(|| "audit".to_owned()),
                holds: if bonds.1 { vec!["a run is at work in it".to_owned()] } else { Vec::new() },
            }
        },
    )
}

fn some_nights() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(some_night(), 0..60).prop_map(|nights| {
        let nights: BTreeMap<String, Candidate> =
            nights.into_iter().map(|night| (night.container.clone(), night)).collect();
        nights.into_values().collect()
    })
}

fn some_policy() -> impl Strategy<Value = Policy> {
    let count = || prop_oneof![2 => Just(0_u32), 3 => 1..6_u32, 1 => 6..40_u32];
    let counts = [count(), count(), count(), count(), count(), count()];
    (counts, prop::option::weighted(0.3, 0..24 * 40_i64)).prop_map(
        |([last, hourly, daily, weekly, monthly, yearly], within)| Policy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within: within.map(TimeDelta::hours),
        },
    )
}

fn some_selection() -> impl Strategy<Value = Selection> {
    prop_oneof![3 => Just(Selection::Unlabelled), 1 => Just(Selection::Labelled("by-hand".parse().unwrap()))]
}

fn staying(policy: &Policy, selection: &Selection, nights: &[Candidate]) -> BTreeSet<String> {
    let plan = plan(policy, selection, nights, Tz::Europe__Berlin);
    plan.staying().map(|decision| decision.container.clone()).collect()
}

/// What is newer comes later; the mistaken names below are of a year later.
fn age(night: &Candidate) -> impl Ord + use<> {
    let is_mistaken = night.day - night.taken.date_naive() > TimeDelta::days(300);
    let day = if is_mistaken { night.taken.date_naive() + Days::new(1) } else { night.day };
    (day, night.hour.map_or(night.taken, |hour| hour.to_utc()), night.taken, night.container.clone())
}

/// The databases of sources of which there is a verified night among these.
fn good<'a>(nights: impl Iterator<Item = &'a Candidate>) -> BTreeSet<(&'a str, &'a str)> {
    let verified = nights.filter(|night| night.health == Health::Verified);
    verified.flat_map(|night| night.databases.iter().map(|name| (night.source.as_str(), name.as_str()))).collect()
}

proptest! {
    #[test]
    fn a_plan_names_every_night_once_with_reasons_in_whatever_order_they_come(
        policy in some_policy(), selection in some_selection(),
        (nights, shuffled) in some_nights().prop_flat_map(|nights| (Just(nights.clone()), Just(nights).prop_shuffle())),
    ) {
        let planned = plan(&policy, &selection, &nights, Tz::Europe__Berlin);
        prop_assert_eq!(&planned, &plan(&policy, &selection, &shuffled, Tz::Europe__Berlin));
        let named: BTreeSet<&str> = planned.decisions.iter().map(|decision| decision.container.as_str()).collect();
        prop_assert_eq!(named, nights.iter().map(|night| night.container.as_str()).collect::<BTreeSet<_>>());
        prop_assert_eq!(planned.decisions.len(), nights.len());
        prop_assert!(planned.decisions.iter().all(|decision| !decision.reasons.is_empty()));
    }

    #[test]
    fn who_asks_for_more_loses_nothing(
        policy in some_policy(), selection in some_selection(), nights in some_nights(),
        more in prop::array::uniform6(0..4_u32), longer in 0..24 * 10_i64,
    ) {
        prop_assume!(!policy.is_empty());
        let wider = Policy {
            last: policy.last + more[0],
            hourly: policy.hourly + more[1],
            daily: policy.daily + more[2],
            weekly: policy.weekly + more[3],
            monthly: policy.monthly + more[4],
            yearly: policy.yearly + more[5],
            within: policy.within.map(|within| within + TimeDelta::hours(longer)),
        };
        let lost: Vec<_> = {
            let wider = staying(&wider, &selection, &nights);
            staying(&policy, &selection, &nights).into_iter().filter(|night| !wider.contains(night)).collect()
        };
        prop_assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn when_the_plan_was_carried_out_nothing_more_leaves(
        policy in some_policy(), selection in some_selection(), nights in some_nights(),
    ) {
        let stays = staying(&policy, &selection, &nights);
        let left: Vec<Candidate> = nights.into_iter().filter(|night| stays.contains(&night.container)).collect();
        prop_assert_eq!(staying(&policy, &selection, &left), stays);
    }

    #[test]
    fn every_database_keeps_its_newest_verified_night_or_all_nights(
        policy in some_policy(), selection in some_selection(), nights in some_nights(),
    ) {
        let stays = staying(&policy, &selection, &nights);
        let there = good(nights.iter());
        let mut newest_first: Vec<&Candidate> = nights.iter().collect();
        newest_first.sort_by_key(|night| Reverse(age(night)));
        for (source, database) in &there {
            let newest = newest_first.iter().find(|night| good([**night].into_iter()).contains(&(source, database)));
            prop_assert!(stays.contains(&newest.unwrap().container), "{database} of {source}");
        }
        for night in &nights {
            let hopeless = night.databases.iter().any(|name| !there.contains(&(night.source.as_str(), name.as_str())));
            let bound = night.pin.is_some() || !night.holds.is_empty();
            let other = match &selection {
                Selection::Unlabelled => night.label.is_some(),
                Selection::Labelled(label) => night.label.as_deref() != Some(label.as_str()),
            };
            let must_stay = hopeless || bound || other || policy.is_empty();
            prop_assert!(!must_stay || stays.contains(&night.container), "{night:?}");
        }
    }

    #[test]
    fn a_deletion_takes_only_what_was_named_and_leaves_each_database_a_verified_night(
        nights in some_nights(), chosen in prop::collection::vec(any::<bool>(), 60),
    ) {
        let chosen = nights.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        let chosen: Vec<&Candidate> = chosen.map(|(night, _)| night).collect();
        let names: Vec<String> = chosen.iter().map(|night| night.container.clone()).collect();
        let planned = plan_deletion(&names, &nights).unwrap();
        prop_assert_eq!(planned.decisions.len(), names.len());
        let leaves: BTreeSet<&str> = planned.leaving().map(|decision| decision.container.as_str()).collect();
        prop_assert!(leaves.iter().all(|container| names.iter().any(|name| name == container)));
        let left = || nights.iter().filter(|night| !leaves.contains(night.container.as_str()));
        prop_assert_eq!(good(nights.iter()), good(left()));
        for night in chosen.into_iter().filter(|night| night.pin.is_some() || !night.holds.is_empty()) {
            prop_assert!(!leaves.contains(night.container.as_str()), "{night:?}");
        }
        // What was refused is refused again, alone as well as with others.
        let refused: Vec<String> = planned.staying().map(|decision| decision.container.clone()).collect();
        let left: Vec<Candidate> = left().cloned().collect();
        prop_assert_eq!(plan_deletion(&refused, &left).unwrap().leaving().count(), 0);
    }

    #[test]
    fn a_rule_alone_keeps_what_counting_on_the_fingers_does(
        nights in some_nights(), count in 1..8_u32, rule in 0..4_usize,
    ) {
        // Of one source, and without all that another rule or the guard could have a word in.
        let plain = |mut night: Candidate| {
            night.health = Health::Verified;
            (night.pin, night.holds, night.databases) = (None, Vec::new(), Vec::new());
            night
        };
        let mut nights: Vec<Candidate> =
            nights.into_iter().filter(|night| night.source == "0" && night.label.is_none()).map(plain).collect();
        nights.sort_by_key(age);
        let bucket = |night: &Candidate| match rule {
            0 => night.day.num_days_from_ce(),
            // Weeks since a Monday.
            1 => (night.day - NaiveDate::from_ymd_opt(2001, 1, 1).unwrap()).num_days().div_euclid(7) as i32,
            2 => night.day.year() * 12 + night.day.month() as i32,
            _ => night.day.year(),
        };
        let mut policy = Policy::default();
        *[&mut policy.daily, &mut policy.weekly, &mut policy.monthly, &mut policy.yearly][rule] = count;
        let stays = staying(&policy, &Selection::Unlabelled, &nights);
        let buckets: BTreeSet<i32> = nights.iter().map(bucket).collect();
        for (position, night) in nights.iter().enumerate() {
            let newer: BTreeSet<i32> = nights[position + 1..].iter().map(bucket).collect();
            let is_newest = !newer.contains(&bucket(night)) && newer.len() < count as usize;
            let is_oldest = position == 0 && buckets.len() < count as usize;
            prop_assert_eq!(stays.contains(&night.container), is_newest || is_oldest, "{:?}", night);
        }
    }
}

#[test]
fn the_hour_of_a_container_is_its_beginning() {
    let beginning = |container: &str| HOURLY.hour_of(container).map(|hour: DateTime<_>| hour.to_rfc3339());
    assert_eq!(beginning("2016-10-30T02+0200").as_deref(), Some("2016-10-30T02:00:00+02:00"));
    assert_eq!(beginning("2016-10-30T02+0100_by-hand").as_deref(), Some("2016-10-30T02:00:00+01:00"));
    assert_eq!(beginning("2016-10-30"), None);
    assert_eq!(ContainerPattern::default().hour_of("2016-10-30"), None);
    assert_eq!(
        HOURLY.hour_of("2016-06-11T14+0545").unwrap().to_utc(),
        "2016-06-11T08:15:00Z".parse::<DateTime<Utc>>().unwrap()
    );
}
