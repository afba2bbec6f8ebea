//! One night: its seals, every object that they name, and what to say of what was found.

use archive::verification::Damage;
use archive::{BackupManifest, Loaded, Night, NightState, names, night_state};
use futures_util::StreamExt;
use store::ObjectInfo;

use super::advice::{AGAIN, DamagedShard};
use super::expected::{Expected, Held};
use super::ground::Ground;
use super::object::{ABSENT, Fault, Verdict};
use super::{Run, Target, Verified, claims};
use crate::{Error, Event, Kind, unsealed, wait};

/// How often a night is looked at that is replaced every time.
const TRIES: u32 = 3;

/// What to do where a seal cannot be read.
const UNREADABLE: &str = "another night may be whole; nothing tells any more what this one must be";

/// What is said of a night that is none.
pub(super) fn no_backup(container: &str, why: &str) -> String {
    format!("there is no backup in {container}: {why}")
}

/// The seal of a night, as it was before anything else was looked at.
pub(super) struct Seal {
    /// What the store knows of it: it is another one once that changes.
    info: Option<ObjectInfo>,
    /// What stands in it; nothing where there is no backup.
    pub(super) manifest: Option<Loaded<BackupManifest>>,
    /// Why it cannot be read.
    fault: Option<String>,
    /// What is known of a night that seems to have lost it.
    lost: Option<String>,
    /// The night whose shards lie there without one, where they are to be looked at all the same.
    unsealed: Option<Night>,
}

impl Seal {
    /// None: there are dumps, and nobody says that there is a backup.
    pub(super) fn of_dumps_alone() -> Seal {
        Seal { info: None, manifest: None, fault: None, lost: None, unsealed: None }
    }

    /// As it was read, or why it could not be.
    pub(super) fn new(info: ObjectInfo, read: Result<Loaded<BackupManifest>, Error>) -> Seal {
        match read {
            Ok(manifest) => Seal { info: Some(info), manifest: Some(manifest), ..Seal::of_dumps_alone() },
            Err(error) => Seal { info: Some(info), fault: Some(error.to_string()), ..Seal::of_dumps_alone() },
        }
    }
}

/// What came of a look at a night.
pub(super) enum Looked {
    At(Box<Verified>),
    /// Nothing is sealed there.
    Nothing,
    /// Another backup has taken its place meanwhile.
    Replaced,
}

impl Run {
    /// Verifies a night of the archive; `None` where nothing is sealed and nothing need be.
    pub(super) async fn night(&self, target: &Target) -> Result<Option<Verified>, Error> {
        let container = target.container();
        let ground = Ground::archive(&self.store, container);
        for _ in 0..TRIES {
            let info = ground.find(&names::backup_manifest(container)).await?;
            let seal = match self.manifest(target).await {
                Ok(found) => Seal { info, ..found },
                Err(error) if error.kind() == Kind::Damage => {
                    Seal { info, fault: Some(error.to_string()), ..Seal::of_dumps_alone() }
                }
                Err(error) => return Err(error),
            };
            if let Some(loaded) = seal.manifest.as_ref().filter(|_| self.config.undelete) {
                self.progress.report(Event::Step(&format!("bringing back what {container} needs")));
                self.bring_back(container, &loaded.document).await?;
            }
            match self.look(&ground, &seal).await? {
                Looked::At(verified) => return Ok(Some(*verified)),
                Looked::Nothing => return Ok(None),
                Looked::Replaced => {
                    let text = format!("{container} was replaced while it was verified; it is verified once more");
                    self.progress.report(Event::Warning(&text));
                }
            }
        }
        let message = format!("{container} is replaced again and again");
        Err(Error::new(Kind::Failed, message).hint("run the same command again once its backup has ended"))
    }

    /// The seal, if there is one; if not, what is known of the night.
    async fn manifest(&self, target: &Target) -> Result<Seal, Error> {
        let found = Seal::of_dumps_alone();
        let night = match target {
            Target::Backup(night) => night,
            Target::Any(night) => return self.any(night).await,
        };
        let (store, time_zone) = (self.store.as_ref(), self.config.calendar.time_zone);
        let error = match wait::for_backup(store, night, time_zone, None, self.progress.as_ref()).await {
            Ok(loaded) => return Ok(Seal { manifest: Some(loaded), ..found }),
            Err(error) if error.kind() == Kind::Missing => error,
            Err(error) => return Err(error),
        };
        match night_state(store, &night.container).await? {
            NightState::Unsealed => {
                let lost = self.lost(&night.container).await?;
                Ok(Seal { lost, unsealed: Some(night.clone()), ..found })
            }
            NightState::Misnamed(_) => Err(error),
            _ => Err(error.hint("is the date right? --all verifies whatever nights there are")),
        }
    }

    /// The same of a night that need not be sealed.
    async fn any(&self, night: &Night) -> Result<Seal, Error> {
        let (found, container) = (Seal::of_dumps_alone(), night.container.as_str());
        let (why, lost) = match night_state(self.store.as_ref(), container).await? {
            NightState::Ready(loaded) => return Ok(Seal { manifest: Some(*loaded), ..found }),
            NightState::Failed(error) => (error, None),
            NightState::Unsealed => {
                (format!("{}: {}", unsealed::UNSEALED, unsealed::hint(night)), self.lost(container).await?)
            }
            NightState::Misnamed(object) => {
                (format!("{}: {}", unsealed::misnamed(container, &object), unsealed::hint_of_misnamed(night)), None)
            }
            NightState::BackingUp(_) | NightState::Deleted(_) | NightState::Absent => return Ok(found),
        };
        self.progress.report(Event::Warning(&no_backup(container, &why)));
        Ok(Seal { lost, ..found })
    }

    /// What is known of a night that seems to have lost its seal: shards from elsewhere have no records of ours beside them.
    pub(super) async fn lost(&self, container: &str) -> Result<Option<String>, Error> {
        let records = self.store.list(container, &names::manifests_prefix(container), None).await?;
        Ok((!records.is_empty()).then(|| no_backup(container, unsealed::UNSEALED)))
    }

    /// Looks at everything that the seals of a night name.
    pub(super) async fn look(&self, ground: &Ground, seal: &Seal) -> Result<Looked, Error> {
        let (night, started, progress) = (&ground.night, self.instant(), self.progress.as_ref());
        let manifest = seal.manifest.as_ref();
        progress.report(Event::Step(&format!("looking at {night}")));
        let all = self.expected(ground, manifest.map(|loaded| &loaded.document)).await?;
        let is_empty = all.objects.is_empty() && all.damages.is_empty() && all.unchecked.is_empty();
        let is_none = manifest.is_none() && seal.fault.is_none() && seal.lost.is_none() && seal.unsealed.is_none();
        if is_none && is_empty {
            return Ok(Looked::Nothing);
        }
        let mut verified = Verified {
            manifest_sha256: manifest.map(|loaded| loaded.sha256.clone()),
            unchecked: all.unchecked,
            notes: all.notes,
            ..Verified::of(ground.shown())
        };
        verified.unchecked.extend(seal.lost.clone());
        if let Some(night) = &seal.unsealed {
            self.unsealed(ground, night, &mut verified).await?;
        } else if is_none {
            verified.notes.push("there is no backup, only dumps".to_owned());
        }
        let unreadable = seal.fault.iter().map(|fault| (names::backup_manifest(night), fault.clone()));
        for (object, what) in unreadable.chain(all.damages) {
            progress.report(Event::Warning(&format!("{object} is damaged: {what}")));
            verified.damages.push(Damage { object, what, hint: UNREADABLE.to_owned() });
        }
        if let Some(loaded) = manifest {
            self.claims(ground, &loaded.document, &mut verified).await?;
        }
        let bytes = all.objects.iter().map(Expected::bytes).fold(0, u64::saturating_add);
        progress.report(Event::Planned { objects: all.objects.len() as u64, bytes });

        let mut damaged: Vec<(Expected<'_>, Fault)> = Vec::new();
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let looks: Vec<_> = all
            .objects
            .into_iter()
            .map(|expected| async move {
                let verdict = self.object(ground, &expected).await;
                (expected, verdict)
            })
            .collect();
        let mut ended = futures_util::stream::iter(looks).buffer_unordered(self.config.parallel.max(1));
        while let Some((expected, verdict)) = ended.next().await {
            let (name, size) = (expected.name.clone(), expected.bytes());
            let verdict = verdict?;
            if !matches!(verdict, Verdict::Unchecked { .. }) {
                verified.objects += 1;
                verified.bytes = verified.bytes.saturating_add(size);
            }
            match verdict {
                Verdict::Whole => progress.report(Event::Done { name: &name, bytes: size }),
                Verdict::Mended(note) => {
                    progress.report(Event::Warning(&format!("{name}: {note}")));
                    verified.notes.push(format!("{name}: {note}"));
                }
                Verdict::Damaged(fault) => {
                    if !matches!(expected.held, Held::Dump { .. }) && self.is_replaced(ground, seal).await? {
                        return Ok(Looked::Replaced);
                    }
                    progress.report(Event::Warning(&format!("{name} is damaged: {}", fault.what)));
                    damaged.push((expected, fault));
                }
                Verdict::Unchecked { why, is_passing } => {
                    let line = format!("{name} could not be looked at: {why}");
                    progress.report(Event::Warning(&line));
                    verified.unchecked.push(line);
                    // A store that does not answer at all is not asked for everything else.
                    let answer = ground.find(&names::backup_manifest(night)).await;
                    if let Some(error) = answer.err().filter(|_| is_passing) {
                        if damaged.is_empty() {
                            return Err(error.into());
                        }
                        verified.unchecked.push(format!("what comes after that was not looked at: {error}"));
                        break;
                    }
                }
            }
        }
        drop(ended);
        let mut blames = Vec::new();
        for (expected, fault) in &damaged {
            let within = expected.in_pool.filter(|_| fault.is_in_bytes);
            blames.push(match within {
                Some(within) => match self.blame(expected, within).await {
                    Err(error) if error.is_interruption() => return Err(error),
                    Err(error) => {
                        let line = format!("what the pool has of {} could not be looked at: {error}", expected.name);
                        verified.unchecked.push(line);
                        None
                    }
                    blame => Some(blame?),
                },
                None => None,
            });
        }
        let damaged: Vec<_> = damaged.into_iter().zip(blames).collect();
        let shards: Vec<DamagedShard<'_>> = damaged
            .iter()
            .filter_map(|((expected, fault), blame)| {
                let blamed = blame.as_ref().map(|blame| blame.names.clone()).unwrap_or_default();
                let (name, was_whole) = (&expected.name, fault.is_in_bytes);
                Some(DamagedShard { name, record: expected.shard()?, was_whole, blamed })
            })
            .collect();
        let elsewhere = match manifest {
            Some(loaded) if !shards.is_empty() => self.elsewhere(ground, &loaded.document, &shards).await,
            _ => Default::default(),
        };
        for ((expected, fault), blame) in damaged {
            let mut hint = self.hint(ground, &expected, elsewhere.get(&expected.name));
            let mut what = fault.what;
            if let Some(blame) = blame {
                if let Some(first) = blame.hint(what == ABSENT, self.config.undelete) {
                    hint = format!("{first}; else {hint}");
                }
                what = blame.explain(&what);
            }
            verified.damages.push(Damage { object: expected.name, what, hint });
        }
        verified.damages.sort_by(|one, other| one.object.cmp(&other.object));
        if self.config.interrupt.is_requested() {
            return Err(Error::interrupted());
        }
        match self.is_replaced(ground, seal).await {
            // What was looked at is not what lies there now, and a record would stand beside another seal.
            Ok(true) => return Ok(Looked::Replaced),
            // A record would say that there had been a seal beside it.
            Ok(false) if seal.unsealed.is_some() => {}
            Ok(false) => self.record(ground, &mut verified, started).await,
            Err(error) => {
                let line = format!("whether {night} was replaced meanwhile could not be looked at: {error}");
                progress.report(Event::Warning(&line));
                verified.unchecked.push(line);
            }
        }
        Ok(Looked::At(Box::new(verified)))
    }

    /// What the manifest says that cannot be so.
    async fn claims(&self, ground: &Ground, manifest: &BackupManifest, verified: &mut Verified) -> Result<(), Error> {
        let name = names::backup_manifest(&ground.night);
        let mut found = claims::contradictions(manifest);
        match self.ranges(ground, manifest).await {
            Ok(differences) => found.extend(differences),
            Err(error) if error.is_interruption() => return Err(error),
            Err(error) => verified.unchecked.push(format!("{name} could not be compared with the metastore: {error}")),
        }
        for what in found {
            self.progress.report(Event::Warning(&format!("{name} is damaged: {what}")));
            let hint = if ground.is_archive() { claims::WRONG } else { AGAIN };
            verified.damages.push(Damage { object: name.clone(), what, hint: hint.to_owned() });
        }
        Ok(())
    }

    /// Whether the night has another seal by now, or none.
    async fn is_replaced(&self, ground: &Ground, seal: &Seal) -> Result<bool, Error> {
        let known = |info: &ObjectInfo| (info.bytes, info.etag.clone(), info.modified);
        let now = ground.find(&names::backup_manifest(&ground.night)).await?;
        Ok(now.as_ref().map(known) != seal.info.as_ref().map(known))
    }
}
