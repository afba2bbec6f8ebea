//! Adoption: a night that others have stored gets the seal that a backup would have given it.
//!
//! Nothing is believed of it and nothing in it is changed. Every byte is read, and what a seal says of it is made of that; what lies
//! there twice over, without a place, or half, is refused, since a seal would vouch for it; so is what lacks a shard, unless that
//! is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::manifest::Adoption;
use archive::verification::Damage;
use archive::{Date, Night, NightState, names, night_state};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use store::{ObjectInfo, Store};

use super::lying::{Compared, Known, Lying, Missing};
use super::pending;
use super::piece::{Metastore, Whole};
use super::seal::Found;
use crate::verify::ground::Ground;
use crate::verify::outcome::told;
use crate::verify::{Config, Extent, Outcome, Run, Verified};
use crate::{Error, Event, Kind, Lock, Progress, clocks, unsealed, wait};

/// The night that is to be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopting {
    /// Which one.
    pub date: Date,
    /// Whether it may lack shards.
    pub incomplete: bool,
}

/// Gives a night its seal that was stored without one, by `influxd backup` and an upload. Which nights the configuration names
/// does not matter, nor how large a part of them.
///
/// # Errors
///
/// [`Kind::Missing`] where there is nothing that could be adopted, [`Kind::Locked`] where a backup is under way; where the night has
/// its seal, where a run of ours has left it unfinished, and where what lies there is no whole backup. What is damaged or missing is
/// in the [`Outcome`], and keeps the night from its seal.
pub async fn adopt(
    config: Config,
    adopting: Adopting,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    let extent = config.extent.max(Extent::Deep);
    let run = Run::begin(Config { extent, sample: None, ..config }, now, store, progress);
    interrupt.unless(run.adopt(adopting)).await
}

impl Run {
    async fn adopt(&self, Adopting { date, incomplete }: Adopting) -> Result<Outcome, Error> {
        let (store, progress) = (self.store.as_ref(), self.progress.as_ref());
        let calendar = &self.config.calendar;
        let mut outcome = Outcome::new(self.config.extent, None);
        let clocks = (self.now, self.begun);
        outcome.clocks = clocks::look(calendar, date.into(), clocks, Some(store), None, progress).await;

        // 1. One run at a time on this machine, and no run of ours on any.
        let night = calendar.night(date, self.now)?;
        let lock = format!("backup-{}-{}", store.location(), night.container);
        let _lock = Lock::exclusive(&self.config.place.locks, &lock)?;
        self.admit(&night).await?;

        // 2. What lies there, by its names?
        progress.report(Event::Step(&format!("looking at what lies in {}", night.container)));
        let (ground, started) = (Ground::archive(&self.store, &night.container), self.instant());
        let mut verified = Verified::of(ground.shown());
        let listed = ground.list(&names::shards_prefix(&night.container)).await?;
        let lying = Lying::of(&night.container, listed);
        check_names(&night, &lying)?;
        verified.damages.extend(lying.pending.iter().map(|object| pending(object)));

        // 3. What does the metastore say of it?
        let name = names::metastore(&night.container);
        let metastore = match self.loose_metastore(&ground, &name).await? {
            Ok(metastore) => metastore,
            Err(fault) => {
                let hint =
                    "without it the night cannot be restored; that of a night close by may do in its place".to_owned();
                verified.damages.push(Damage { object: name, what: fault.what, hint });
                outcome.nights.push(verified);
                return Ok(outcome.finished(self.begun.elapsed()));
            }
        };
        (verified.objects, verified.bytes) = (1, metastore.digests.bytes);
        let compared = lying.compare(&night.container, &metastore.data);
        check_known(&night, &compared)?;

        // 4. Every byte of every shard, and every shard.
        let bytes = lying.bytes(compared.known.values().map(|known| &known.object));
        progress.report(Event::Planned { objects: compared.known.len() as u64, bytes });
        let shards = self.shards(&ground, &compared, &mut verified).await?;
        let taken = shards.iter().filter_map(|(id, (_, whole))| Some((*id, whole.taken?)));
        let lacking = compared.lacking(taken);
        if !incomplete {
            verified.damages.extend(lacking.iter().map(|shard| missing(shard)));
        }
        verified.damages.sort_by(|one, other| one.object.cmp(&other.object));
        if !verified.damages.is_empty() {
            outcome.nights.push(verified);
            return Ok(outcome.finished(self.begun.elapsed()));
        }

        // 5. The seal, if all that is still so.
        let lost = self.lost(&night.container).await?;
        self.check_unchanged(&ground, &night, (&name, &metastore), &shards).await?;
        progress.report(Event::Step("sealing the night"));
        let lacking: Vec<String> = lacking.into_iter().map(Missing::name).collect();
        let warnings = warnings(&lying, &compared, &lacking, lost.is_some());
        let databases = compared.databases.into_iter().collect();
        verified.notes.clone_from(&warnings);
        let found = Found { metastore, metastore_object: name, shards, databases, warnings };
        let manifest = self.seal(&night, found);
        let seal = names::backup_manifest(&night.container);
        let sha256 = archive::seal(store, &night.container, &seal, &manifest).await?;
        (verified.manifest_sha256, verified.adopted) = (Some(sha256), true);

        // 6. It was verified as closely as any.
        self.record(&ground, &mut verified, started).await;
        outcome.nights.push(verified);
        Ok(outcome.finished(self.begun.elapsed()))
    }

    /// Whether the night may be adopted as it stands.
    async fn admit(&self, night: &Night) -> Result<(), Error> {
        let container = &night.container;
        Err(match night_state(self.store.as_ref(), container).await? {
            NightState::Unsealed => return Ok(()),
            NightState::Ready(sealed) => {
                let when = |instant: DateTime<Utc>| instant.format("%Y-%m-%d %H:%M:%S UTC");
                let message = match &sealed.document.adopted {
                    Some(Adoption { at, by }) => format!("{container} is adopted already, since {} on {by}", when(*at)),
                    None => format!("{container} is sealed already, since {}", when(sealed.document.sealed)),
                };
                Error::new(Kind::Failed, message)
                    .hint(format!("a sealed night is never changed; verify it with --date {}", night.date))
            }
            NightState::BackingUp(marker) => {
                let (host, process) = (&marker.host, marker.process);
                Error::new(Kind::Locked, format!("{container} is being backed up on {host} (process {process})"))
                    .hint("that run seals the night itself; nothing was done")
            }
            NightState::Failed(error) => {
                Error::new(Kind::Failed, format!("{container} is what a run of nightshard-backup has left: {error}"))
                    .hint("the same nightshard-backup completes it, and seals it")
            }
            NightState::Deleted(deletion) => Error::new(
                Kind::Failed,
                format!("{container}: {}", wait::deleted(&deletion)),
            )
            .hint("what is left of it may not be whole, and nightshard-prune goes on with a deletion that was cut off"),
            NightState::Misnamed(object) => {
                Error::new(Kind::Failed, unsealed::misnamed(container, &object)).hint(self.renaming(container, &object))
            }
            NightState::Absent => {
                Error::new(Kind::Missing, format!("there is nothing in {container} that could be adopted"))
                    .hint("is the date right, and --container the pattern that the nights have?")
            }
        })
    }

    /// How objects get the names that a night's have.
    fn renaming(&self, container: &str, object: &str) -> String {
        let folder = object.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some(file) = self.store.file(container, object) {
            let place = file.ancestors().nth(object.split('/').count()).unwrap_or(&file);
            let from = if folder.is_empty() { "." } else { folder };
            return format!(
                "in {}: mkdir -p {container}/shards && mv {from}/meta.* {from}/*.*.[0-9]* {container}/shards/",
                place.display()
            );
        }
        let prefix = if folder.is_empty() { String::new() } else { format!(" --prefix {folder}/") };
        format!(
            "copy them within Swift: swift list {container}{prefix} | while read -r name; do swift copy {container} \"$name\" \
             --destination \"/{container}/{container}/shards/${{name##*/}}\"; done"
        )
    }

    /// Reads every shard; what is damaged is added to `verified`.
    async fn shards(
        &self,
        ground: &Ground,
        compared: &Compared,
        verified: &mut Verified,
    ) -> Result<BTreeMap<u64, (Known, Whole)>, Error> {
        let progress = self.progress.as_ref();
        let reads = compared.known.values().map(|known| async move { (known, self.whole_shard(ground, known).await) });
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let reads: Vec<_> = reads.collect();
        let mut reads = futures_util::stream::iter(reads).buffer_unordered(self.config.parallel.max(1));
        let mut shards = BTreeMap::new();
        while let Some((known, read)) = reads.next().await {
            match read? {
                Ok(whole) => {
                    let bytes = whole.digests.bytes;
                    verified.objects += 1;
                    verified.bytes = verified.bytes.saturating_add(bytes);
                    progress.report(Event::Done { name: &known.object, bytes });
                    shards.insert(known.id, (known.clone(), whole));
                }
                Err(damage) => {
                    verified.objects += 1;
                    progress.report(Event::Warning(&format!("{} is damaged: {}", damage.object, damage.what)));
                    verified.damages.push(damage);
                }
            }
        }
        Ok(shards)
    }

    /// Whether the night is still what was read, and nobody has come between.
    async fn check_unchanged(
        &self,
        ground: &Ground,
        night: &Night,
        (name, metastore): (&str, &Metastore),
        shards: &BTreeMap<u64, (Known, Whole)>,
    ) -> Result<(), Error> {
        self.admit(night).await?;
        let of_shards = shards.values().map(|(known, whole)| (known.object.as_str(), &whole.info));
        let read: BTreeMap<&str, &ObjectInfo> = of_shards.chain([(name, &metastore.info)]).collect();
        let changed = |object: &str| {
            let message = format!("{object} was changed while the night was read");
            Err(Error::new(Kind::Failed, message)
                .hint("does a script still work there? run the same command again later"))
        };
        for entry in ground.list(&names::shards_prefix(&night.container)).await? {
            if names::is_data(&night.container, &entry.name) && !read.contains_key(entry.name.as_str()) {
                return changed(&entry.name);
            }
        }
        for (object, info) in read {
            let known = |info: &ObjectInfo| (info.bytes, info.etag.clone(), info.modified);
            if ground.find(object).await?.as_ref().map(known) != Some(known(info)) {
                return changed(object);
            }
        }
        Ok(())
    }
}

/// Whether these can be a backup, by their names.
fn check_names(night: &Night, lying: &Lying) -> Result<(), Error> {
    let shards = names::shards_prefix(&night.container);
    let refuse = |message: String, hint: &str| Err(Error::new(Kind::Failed, message).hint(hint));
    let has_metastore = lying.metastores.contains(&names::metastore(&night.container));
    if let Some(example) = lying.portable.first() {
        return refuse(
            format!("{shards} holds a portable backup, such as {example}"),
            "only what `influxd backup` writes without -portable can be adopted; `influxd restore -portable` reads this, and \
             nightshard-verify PATH looks into a copy that was downloaded",
        );
    }
    if !has_metastore && lying.shards.is_empty() {
        return Err(Error::new(
            Kind::Missing,
            format!("there is neither a metastore (meta.00) nor a shard in {shards}"),
        )
        .hint("is the date right? there is nothing that could be adopted"));
    }
    if !has_metastore {
        return refuse(
            format!("there is no metastore (meta.00) in {shards}"),
            "nothing else tells of the shards' policies and times: that of a night close by may do in its place, if it knows all shards",
        );
    }
    if lying.shards.is_empty() {
        return Err(Error::new(Kind::Missing, format!("there is a metastore in {shards}, and no shard")).hint(
            "`influxd backup` stores no more than that without -database; there is nothing that could be restored",
        ));
    }
    let increments = lying.increments();
    if !increments.is_empty() {
        return refuse(
            format!("several backups lie in {shards}: {}", told(&increments)),
            "nobody can tell whether these are additions to the first or another whole one, and a night is one backup: once all but \
             those that end in .00 are moved elsewhere, the first can be adopted",
        );
    }
    Ok(())
}

/// Whether the metastore knows all shards.
fn check_known(night: &Night, compared: &Compared) -> Result<(), Error> {
    let Some((object, why)) = compared.unknown.first() else { return Ok(()) };
    let more = match compared.unknown.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    Err(Error::new(Kind::Failed, format!("{object} is no shard of {}: {why}{more}", night.container)).hint(
        "it came after the metastore, had expired by then, or is another server's; once it is moved elsewhere, the others can be adopted",
    ))
}

/// What is said of a shard that does not lie there.
fn missing(shard: &Missing) -> Damage {
    let what = "it does not exist, and the metastore knows it".to_owned();
    let hint = "its upload may have failed, or nothing was ever written to it, and nothing tells which: another night may have \
                it, and --incomplete adopts this one without it";
    Damage { object: shard.object.clone(), what, hint: hint.to_owned() }
}

/// What a person should know about such a night.
fn warnings(lying: &Lying, compared: &Compared, lacking: &[String], has_records: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(super::lacking(lacking));
    if !compared.left_out.is_empty() {
        let left_out: Vec<String> = compared.left_out.iter().cloned().collect();
        warnings.push(format!(
            "the metastore knows databases or retention policies of which no shard is here: {}",
            told(&left_out)
        ));
    }
    if lying.metastores.len() > 1 {
        let others = lying.metastores.len() - 1;
        warnings
            .push(format!("{others} metastores of further runs lie beside that of the first, which is the night's"));
    }
    if !lying.others.is_empty() {
        warnings.push(format!("no part of the night lie in shards/: {}", told(&lying.others)));
    }
    if has_records {
        warnings.push("records lie beside it, as if it had had a seal before".to_owned());
    }
    warnings
}
