//! The guard at the moment of the deletion: the plan may have waited for an answer, and others may have deleted or replaced what it
//! relied on. So before a seal goes, another verified night of each of its databases must still have its own.

use std::collections::BTreeMap;

use archive::names;
use archive::pool::Naming;
use archive::retention::Health;
use store::Store;

use super::survey::Survey;
use crate::{Error, Kind};

/// A database of a source.
type Database = (String, String);

/// A night, and the SHA-256 of its seal.
type Seal = (String, String);

/// Which nights are verified, and what each night has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Guard {
    verified: BTreeMap<Database, Vec<Seal>>,
    databases: BTreeMap<String, Vec<Database>>,
}

impl Guard {
    pub(super) fn of(survey: &Survey) -> Guard {
        let mut guard = Guard::default();
        for night in survey.candidates.iter().chain(&survey.future) {
            let databases = night.databases.iter().map(|database| (night.source.clone(), database.clone()));
            let databases: Vec<Database> = databases.collect();
            if let (Health::Verified, Some(held)) = (night.health, survey.held.get(&night.container)) {
                for database in &databases {
                    let verified = guard.verified.entry(database.clone()).or_default();
                    verified.push((night.container.clone(), held.sha256.clone()));
                }
            }
            guard.databases.insert(night.container.clone(), databases);
        }
        guard
    }

    /// Refuses the night when a database of it has no other verified night any more.
    pub(super) async fn permit(&self, container: &str, store: &dyn Store) -> Result<(), Error> {
        for database in self.databases.get(container).into_iter().flatten() {
            // The newest is the likeliest to stand.
            let others =
                self.verified.get(database).into_iter().flatten().rev().filter(|(other, _)| other != container);
            let mut stands = false;
            for seal in others {
                stands = is_there(seal, store).await?;
                if stands {
                    break;
                }
            }
            if !stands {
                let message = format!("without it no verified night of {} would stay any more", database.1);
                return Err(Error::new(Kind::Failed, message));
            }
        }
        Ok(())
    }
}

/// Whether the night is sealed as it was.
async fn is_there((container, sha256): &Seal, store: &dyn Store) -> Result<bool, Error> {
    match archive::read::<Naming>(store, container, &names::backup_manifest(container)).await {
        Ok(loaded) => Ok(loaded.sha256 == *sha256),
        Err(archive::Error::Store(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}
