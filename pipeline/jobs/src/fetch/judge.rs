//! What is to be said of nights in which not all is what was asked for.

use archive::Dates;
use store::Store;

use super::contents::{Backup, Contents};
use super::outcome::Outcome;
use super::{Config, Wanted, Wish};
use crate::verify::told;
use crate::{Error, Kind, choice, glob};

/// Tells of what is missing.
///
/// # Errors
///
/// [`Kind::Missing`] when there is nothing at all; of the only night what is wrong with its seal, when nothing else is there.
pub(super) fn judge(
    contents: &mut [Contents],
    config: &Config,
    dates: Option<Dates>,
    store: &dyn Store,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let wanted = &config.wanted;
    let is_single = matches!(dates, Some(Dates::One(_))) && config.matching.is_none();
    if let [night] = &mut *contents
        && night.groups.is_empty()
        && let Some(error) = night.trouble.take_if(|_| is_single)
    {
        return Err(error);
    }
    let contents = &*contents;
    let found =
        |is_dump: bool| move |night: &Contents| night.groups.iter().any(|group| group.dump.is_some() == is_dump);
    for night in contents {
        outcome.is_damaged |= !night.damages.is_empty();
        outcome.failures.extend(night.damages.iter().chain(&night.failures).cloned());
        let container = &night.container;
        match &night.backup {
            Backup::Fine => {}
            Backup::Unsealed(state, hint) => {
                let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                outcome.failures.push(format!("there is no backup in {container}: {state}{hint}"));
            }
            Backup::Absent if is_single && wanted.shards == Wish::Yes => {
                outcome.failures.push(format!("there is no backup in {container}, only dumps"));
            }
            Backup::Absent if !night.groups.is_empty() => {
                outcome.notes.push(format!("there is no backup in {container}, only dumps"));
            }
            Backup::Absent => {}
        }
    }
    if contents.iter().all(|night| night.groups.is_empty() && night.damages.is_empty() && night.failures.is_empty()) {
        return Err(nothing(contents, config, dates, store));
    }
    if wanted.dumps == Wish::Yes && !contents.iter().any(found(true)) && contents.iter().any(found(false)) {
        outcome.failures.push(format!("there is no {}", dump(wanted)));
    }
    let measurements = || contents.iter().flat_map(|night| &night.measurements);
    for name in &wanted.measurements {
        let asked = std::slice::from_ref(name);
        if contents.iter().any(found(true)) && !measurements().any(|measurement| glob::is_meant(asked, measurement)) {
            outcome.failures.push(format!("there is no dump of {name}"));
        }
    }
    Ok(())
}

/// What is said where there is nothing.
fn nothing(contents: &[Contents], config: &Config, dates: Option<Dates>, store: &dyn Store) -> Error {
    let wanted = &config.wanted;
    let unsealed = contents.iter().find_map(|night| match &night.backup {
        Backup::Unsealed(state, hint) => Some((&night.container, state, hint)),
        _ => None,
    });
    if let Some((container, state, hint)) = unsealed {
        let hint = hint.as_deref().unwrap_or("nightshard-list tells which nights are ready");
        return Error::new(Kind::Missing, format!("there is no backup in {container}: {state}")).hint(hint);
    }
    let what = match (wanted.shards, wanted.dumps) {
        (_, Wish::No) => "backup".to_owned(),
        (Wish::No, _) => dump(wanted),
        _ => format!("backup and no {}", dump(wanted)),
    };
    let [night] = contents else {
        return match contents {
            [] => choice::none(store, dates, config.matching.as_ref())
                .hint("nightshard-list shows which nights there are"),
            _ => Error::new(Kind::Missing, format!("there is no {what} in any of {} nights", contents.len()))
                .hint(there(contents)),
        };
    };
    Error::new(Kind::Missing, format!("there is no {what} in {}", night.container)).hint(there(contents))
}

fn dump(wanted: &Wanted) -> String {
    match wanted.measurements.as_slice() {
        [] => "dump".to_owned(),
        names => format!("dump of {}", names.join(", ")),
    }
}

fn there(contents: &[Contents]) -> String {
    let measurements: std::collections::BTreeSet<&String> =
        contents.iter().flat_map(|night| &night.measurements).collect();
    let measurements: Vec<String> = measurements.into_iter().cloned().collect();
    match measurements.as_slice() {
        [] => "nightshard-list shows which nights there are, and what is in them".to_owned(),
        some => format!("there are dumps of {}", told(some)),
    }
}
