//! The plan: what becomes of each night and of the dumps, and why. It is made without a change, and can be shown first.

use std::collections::HashSet;

use archive::Night;
use archive::pool::PoolName;
use archive::retention::{self, Candidate, Decision, Health, Policy, Selection};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Serialize;
use store::Store;

use super::guard::Guard;
use super::survey::Survey;
use super::{Config, Freed, holds};
use crate::claim::refuse_company;
use crate::{Error, Event, Kind, Progress};

/// What becomes of a night, or of its dumps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// Its container.
    pub container: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// Objects of the night; 0 of dumps, and of a night that has lost its seal already.
    pub objects: u64,
    /// Bytes of the night; 0 of dumps, and of a night that has lost its seal already.
    pub bytes: u64,
    /// Those of its bytes that are not in the pool.
    pub own_bytes: u64,
    /// SHA-256 of the seal that goes; `null` of dumps, and where there is none any more.
    pub manifest_sha256: Option<String>,
}

/// A container that is named as nights are, and is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untouched {
    /// Its name.
    pub container: String,
    /// Why.
    pub why: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The nights, the newest first; those of which an earlier run has left a part come last.
    pub nights: Vec<Fate>,
    /// The dumps, by their nights, the newest first; none where dumps stay.
    pub dumps: Vec<Fate>,
    /// What is left alone.
    pub untouched: Vec<Untouched>,
    /// What the nights free that leave; dumps are not counted.
    pub frees: Freed,
    /// How many sealed nights there are.
    pub sealed_nights: u64,
    /// What the nights that leave are the last to name in the pool.
    #[serde(skip)]
    pub(super) unnamed: HashSet<PoolName>,
    /// Sealed nights with a record of a deletion that was killed before it took the seal.
    #[serde(skip)]
    pub(super) spared: Vec<String>,
    /// What has to stand when these nights leave.
    #[serde(skip)]
    pub(super) guard: Guard,
}

impl Planned {
    /// The nights that leave.
    pub fn leaving(&self) -> impl Iterator<Item = &Fate> {
        self.nights.iter().filter(|fate| !fate.keep)
    }

    /// The dumps that leave.
    pub fn leaving_dumps(&self) -> impl Iterator<Item = &Fate> {
        self.dumps.iter().filter(|fate| !fate.keep)
    }

    /// Whether any night or dump is to be deleted.
    #[must_use]
    pub fn is_to_delete(&self) -> bool {
        self.leaving().chain(self.leaving_dumps()).next().is_some()
    }
}

/// Plans what is to leave.
///
/// # Errors
///
/// [`Kind::Missing`] when a night is named that is not there; [`Kind::Locked`] when a run is at work in it, and
/// [`Kind::Failed`] when it must stay for another reason: then none is deleted. When the store fails.
pub async fn plan(
    config: &Config,
    now: DateTime<Utc>,
    store: &dyn Store,
    progress: &dyn Progress,
) -> Result<Planned, Error> {
    config.interrupt.unless(make(config, now, store, progress)).await
}

async fn make(
    config: &Config,
    now: DateTime<Utc>,
    store: &dyn Store,
    progress: &dyn Progress,
) -> Result<Planned, Error> {
    progress.report(Event::Step("reading the seals of all nights"));
    let mut survey = Survey::of(config, now, store).await?;
    let named = config.delete.iter().map(|date| config.calendar.night(*date, now));
    let named: Vec<Night> = named.collect::<Result<_, _>>()?;
    let decisions = match config.delete.is_empty() {
        true => by_policy(config, &mut survey, store).await?,
        false => by_name(config, &named, &survey, store).await?,
    };
    let dumps = match &config.dumps {
        None => Vec::new(),
        Some(policy) => of_dumps(config, policy, &named, &survey, store).await?,
    };
    let (mut frees, mut unnamed) = (Freed::default(), HashSet::new());
    for decision in decisions.iter().filter(|decision| !decision.keep) {
        frees.add(&decision.container, &config.pool, &mut survey.named, &mut unnamed, store).await?;
    }
    let guard = Guard::of(&survey);
    let mut nights: Vec<Fate> = decisions.into_iter().map(|decision| fate(decision, &survey)).collect();
    nights.extend(survey.unfinished.iter().map(|container| Fate {
        container: container.clone(),
        keep: false,
        reasons: vec!["an earlier run has begun to delete it".to_owned()],
        objects: 0,
        bytes: 0,
        own_bytes: 0,
        manifest_sha256: None,
    }));
    let sealed_nights = (survey.candidates.len() + survey.future.len()) as u64;
    let Survey { untouched, spared, .. } = survey;
    Ok(Planned { nights, dumps, untouched, frees, sealed_nights, unnamed, spared, guard })
}

fn fate(decision: Decision, survey: &Survey) -> Fate {
    let held = survey.held.get(&decision.container);
    Fate {
        keep: decision.keep,
        reasons: decision.reasons,
        objects: held.map_or(0, |held| held.objects),
        bytes: held.map_or(0, |held| held.bytes),
        own_bytes: held.map_or(0, |held| held.own_bytes),
        manifest_sha256: held.map(|held| held.sha256.clone()),
        container: decision.container,
    }
}

/// Which nights leave by the policy. Those that would are asked what holds them; it never makes another one leave that they
/// are held, so that once is enough.
async fn by_policy(config: &Config, survey: &mut Survey, store: &dyn Store) -> Result<Vec<Decision>, Error> {
    let selection = match config.calendar.pattern.label() {
        Some(label) => Selection::Labelled(label.clone()),
        None => Selection::Unlabelled,
    };
    let zone = config.calendar.time_zone;
    let plan = retention::plan(&config.keep, &selection, &survey.candidates, zone);
    let leaving: Vec<String> = plan.leaving().map(|decision| decision.container.clone()).collect();
    if leaving.is_empty() {
        return Ok(plan.decisions);
    }
    hold(config, &mut survey.candidates, &leaving, store).await?;
    Ok(retention::plan(&config.keep, &selection, &survey.candidates, zone).decisions)
}

/// Asks what holds these nights.
async fn hold(
    config: &Config,
    candidates: &mut [Candidate],
    leaving: &[String],
    store: &dyn Store,
) -> Result<(), Error> {
    for candidate in candidates.iter_mut().filter(|candidate| leaving.contains(&candidate.container)) {
        candidate.holds.extend(holds::of_night(config, &candidate.container, store).await?);
    }
    Ok(())
}

/// The nights that are named: all of them leave, or none.
async fn by_name(
    config: &Config,
    nights: &[Night],
    survey: &Survey,
    store: &dyn Store,
) -> Result<Vec<Decision>, Error> {
    let containers: Vec<String> = nights.iter().map(|night| night.container.clone()).collect();
    for container in &containers {
        let has_dumps = || survey.dumps.iter().any(|(_, other)| other == container);
        if survey.held.contains_key(container)
            || survey.unfinished.contains(container)
            || config.dumps.is_some() && has_dumps()
        {
            continue;
        }
        let untouched = survey.untouched.iter().find(|untouched| untouched.container == *container);
        let state = untouched.map_or("nothing is there", |untouched| &untouched.why);
        let message = format!("there is no backup in {container}: {state}");
        let is_busy = archive::state::markers(store, container).await?.iter().any(|found| found.is_fresh());
        let kind = if is_busy { Kind::Locked } else { Kind::Missing };
        return Err(Error::new(kind, message).hint(if is_busy {
            "nothing was deleted; a night that is being backed up can be deleted once it is sealed"
        } else {
            "nothing was deleted; what no seal names is not ours to delete (in Swift: `swift delete CONTAINER`)"
        }));
    }
    let sealed: Vec<String> = containers.into_iter().filter(|name| survey.held.contains_key(name)).collect();
    for container in &sealed {
        let found = archive::state::markers(store, container).await?;
        refuse_company(&found, &config.place.host, container)
            .map_err(|error| error.hint("nothing was deleted; try again when it has ended"))?;
    }
    let mut candidates = [survey.candidates.as_slice(), &survey.future].concat();
    hold(config, &mut candidates, &sealed, store).await?;
    let plan = retention::plan_deletion(&sealed, &candidates)?;
    if let Some(refused) = plan.staying().next() {
        let message = format!("{} is not deleted: {}", refused.container, refused.reasons.join("; "));
        return Err(Error::new(Kind::Failed, message).hint(
            "nothing was deleted; nightshard-list --unpin takes a pin away, and nightshard-verify shows that another night is good",
        ));
    }
    Ok(plan.decisions)
}

/// Which dumps leave. No rule about databases applies to them: a dump is a copy of what a night has, or had.
async fn of_dumps(
    config: &Config,
    policy: &Policy,
    named: &[Night],
    survey: &Survey,
    store: &dyn Store,
) -> Result<Vec<Fate>, Error> {
    let mut candidates: Vec<Candidate> =
        survey.dumps.iter().map(|(day, container)| dump_candidate(config, survey, *day, container)).collect();
    let plan = |candidates: &[Candidate]| -> Result<retention::Plan, Error> {
        if config.delete.is_empty() {
            let selection = match config.calendar.pattern.label() {
                Some(label) => Selection::Labelled(label.clone()),
                None => Selection::Unlabelled,
            };
            return Ok(retention::plan(policy, &selection, candidates, config.calendar.time_zone));
        }
        let there = |night: &&Night| candidates.iter().any(|candidate| candidate.container == night.container);
        let containers: Vec<String> = named.iter().filter(there).map(|night| night.container.clone()).collect();
        Ok(retention::plan_deletion(&containers, candidates)?)
    };
    let leaving: Vec<String> = plan(&candidates)?.leaving().map(|decision| decision.container.clone()).collect();
    for candidate in candidates.iter_mut().filter(|candidate| leaving.contains(&candidate.container)) {
        candidate.holds.extend(holds::of_dumps(&candidate.container, store).await?);
    }
    let decisions = plan(&candidates)?.decisions;
    Ok(decisions
        .into_iter()
        .map(|Decision { container, keep, reasons }| Fate {
            container,
            keep,
            reasons,
            objects: 0,
            bytes: 0,
            own_bytes: 0,
            manifest_sha256: None,
        })
        .collect())
}

fn dump_candidate(config: &Config, survey: &Survey, day: NaiveDate, container: &str) -> Candidate {
    Candidate {
        container: container.to_owned(),
        day,
        hour: config.calendar.pattern.hour_of(container),
        taken: day.and_time(NaiveTime::MIN).and_utc(),
        label: config.calendar.pattern.label_of(container).map(str::to_owned),
        source: String::new(),
        databases: Vec::new(),
        health: Health::Verified,
        pin: survey.candidates.iter().find(|night| night.container == container).and_then(|night| night.pin.clone()),
        holds: Vec::new(),
    }
}
