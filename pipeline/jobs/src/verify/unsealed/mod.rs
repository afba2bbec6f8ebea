//! A night that has shards and no seal, as `influxd backup` and `swift upload` leave one: looked at without it, or given one.
//!
//! ```text
//! names ─▶ metastore ─▶ store.get ─▶ tar walk, TSM files                                  (looked at)
//!                                └─▶ digests, statistics ─▶ still as it was? ─▶ the seal     (adopted)
//! ```

mod adopt;
mod lying;
mod piece;
mod seal;
mod taken;

use archive::verification::Damage;
use archive::{Night, names};
use futures_util::StreamExt;
use influx::metastore::Data;

use super::folder::influxd::{NO_METASTORE, PENDING, lacking};
use super::ground::Ground;
use super::night::no_backup;
use super::outcome::told;
use super::{Extent, Run, Verified};
use crate::{Error, Event, Kind, unsealed};
pub use adopt::{Adopting, adopt};
use lying::{Lying, Missing};
use piece::ELSEWHERE;

/// What came of a look at an object.
struct Looked {
    bytes: u64,
    metastore: Option<Data>,
    damage: Option<(String, String)>,
}

impl Run {
    /// Looks at the shards of a night, of which no seal tells what they must be.
    pub(super) async fn unsealed(&self, ground: &Ground, night: &Night, verified: &mut Verified) -> Result<(), Error> {
        let (progress, hint) = (self.progress.as_ref(), unsealed::hint(night));
        if self.config.extent == Extent::Quick {
            // Nothing tells what would have to be there.
            let error = Error::new(Kind::Missing, no_backup(&night.container, unsealed::UNSEALED));
            return Err(error.hint(format!("{hint}; without --quick it is looked into as it lies there")));
        }
        let listed = ground.list(&names::shards_prefix(&ground.night)).await?;
        let lying = Lying::of(&ground.night, listed);
        for object in &lying.pending {
            verified.damages.push(pending(object));
        }
        let is_due = |name: &&String| self.slice.is_none_or(|slice| slice.holds(name));
        let metastores = lying.metastores.iter().filter(is_due).map(|name| (name, None));
        let shards = lying.shards.iter().filter(|(name, _)| is_due(name)).map(|(name, id)| (name, Some(*id)));
        let due: Vec<(&String, Option<u64>)> = metastores.chain(shards).collect();
        let bytes = lying.bytes(due.iter().map(|(name, _)| *name));
        progress.report(Event::Planned { objects: due.len() as u64, bytes });
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let looks: Vec<_> =
            due.into_iter().map(|(name, id)| async move { (name, self.loose_look(ground, name, id).await) }).collect();
        let mut ended = futures_util::stream::iter(looks).buffer_unordered(self.config.parallel.max(1));
        let mut first = None;
        while let Some((name, looked)) = ended.next().await {
            let Looked { bytes, metastore, damage } = match looked {
                Ok(looked) => looked,
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => {
                    verified.unchecked.push(format!("{name} could not be looked at: {}", error.with_hint()));
                    continue;
                }
            };
            verified.objects += 1;
            verified.bytes = verified.bytes.saturating_add(bytes);
            if *name == names::metastore(&ground.night) {
                first = metastore;
            }
            match damage {
                None => progress.report(Event::Done { name, bytes }),
                Some((what, hint)) => {
                    progress.report(Event::Warning(&format!("{name} is damaged: {what}")));
                    verified.damages.push(Damage { object: name.clone(), what, hint });
                }
            }
        }
        if let Some(example) = lying.portable.first() {
            verified.unchecked.push(format!(
                "a portable backup lies there, such as {example}, and is looked at in a folder only: download it, and verify that"
            ));
        }
        verified.notes.extend(self.notes(ground, &lying, first.as_ref()));
        verified.notes.push(format!(
            "there is no seal: a byte that was changed since the upload is found by the checksums in TSM files, and by the ETags \
             of a Swift, and by nothing where there are none; {hint}"
        ));
        Ok(())
    }

    async fn loose_look(&self, ground: &Ground, name: &str, id: Option<u64>) -> Result<Looked, Error> {
        let damaged = |what: String| Looked { bytes: 0, metastore: None, damage: Some((what, ELSEWHERE.to_owned())) };
        Ok(match id {
            None => match self.loose_metastore(ground, name).await? {
                Ok(found) => Looked { bytes: found.digests.bytes, metastore: Some(found.data), damage: None },
                Err(fault) => damaged(fault.what),
            },
            Some(id) => match self.loose_shard(ground, name, id).await? {
                Ok((bytes, examined)) => Looked { bytes, metastore: None, damage: examined.damage },
                Err(fault) => damaged(fault.what),
            },
        })
    }

    /// What a person should know of what lies there, the metastore of the first run being this.
    fn notes(&self, ground: &Ground, lying: &Lying, metastore: Option<&Data>) -> Vec<String> {
        let mut notes = Vec::new();
        if lying.metastores.is_empty() && !lying.shards.is_empty() {
            notes.push(NO_METASTORE.to_owned());
        }
        if let Some(data) = metastore {
            let compared = lying.compare(&ground.night, data);
            notes.extend(compared.unknown.into_iter().map(|(object, why)| format!("{object}: {why}")));
            let missing: Vec<String> = compared.missing.iter().map(Missing::name).collect();
            notes.extend(lacking(&missing));
        }
        if !lying.others.is_empty() {
            notes.push(format!("no part of a backup lie in shards/: {}", told(&lying.others)));
        }
        notes
    }
}

/// What is said of a download that did not come to its end.
fn pending(object: &str) -> Damage {
    let hint = "if a later run has completed the backup, remove this; else the shard is missing".to_owned();
    Damage { object: object.to_owned(), what: PENDING.to_owned(), hint }
}
