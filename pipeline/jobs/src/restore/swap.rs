//! The exchange itself: the old state goes, the new one comes, and if it does not come up, the old one returns.

use archive::manifest::ShardRecord;
use influx::metastore::Data;
use influx::metastore::merge::{self, Purpose, Wish};

use super::aside::{self, Aside, Exchange, Recovered};
use super::ours::Ours;
use super::place::Placed;
use super::prove;
use super::recovery::{self, Expiring};
use super::selection::Selection;
use super::server::Server;
use super::staged::StagedShard;
use super::target::{Target, meta_db, read_metastore};
use super::way::Exchanged;
use super::{Config, files, place};
use crate::{Error, Event, Kind, Progress, loaded};

/// An exchange, and how far it has come.
pub(super) struct Swap<'a> {
    config: &'a Config,
    target: &'a Target,
    selection: &'a Selection,
    new_cluster_id: Option<u64>,
    /// Shards that cannot be asked for, since they may be gone.
    expiring: Expiring,
    progress: &'a dyn Progress,
    /// The stop command may have been run.
    stopping: bool,
    /// The server has been stopped.
    stopped: bool,
    /// The metastore as it was then.
    old: Option<Data>,
    /// What was set aside.
    aside: Option<Aside>,
    /// The new metastore may have been written.
    written: bool,
    /// The server may have been started with the new state.
    started: bool,
    /// The new state stays, proven or not: a recovered server may have taken points since it answers.
    stays: bool,
}

/// A new state on disk, which the server has to prove.
struct Standing {
    placed: Vec<Placed>,
    metastore: Data,
    differences: Vec<String>,
}

impl<'a> Swap<'a> {
    pub(super) fn new(
        config: &'a Config,
        target: &'a Target,
        selection: &'a Selection,
        new_cluster_id: Option<u64>,
        expiring: Expiring,
        progress: &'a dyn Progress,
    ) -> Swap<'a> {
        Swap {
            expiring,
            stays: false,
            config,
            target,
            selection,
            new_cluster_id,
            progress,
            stopping: false,
            stopped: false,
            old: None,
            aside: None,
            written: false,
            started: false,
        }
    }

    /// Stops the server, exchanges its databases, starts it and has it prove them.
    ///
    /// # Errors
    ///
    /// Whatever comes between; [`Swap::back`] must be called then.
    pub(super) async fn forward(
        &mut self,
        server: &Server<'_>,
        mut staged: Vec<StagedShard>,
    ) -> Result<Exchanged, Error> {
        let interrupt = &self.config.interrupt;
        self.asked_to_end().await?;
        self.step("stopping the target");
        // Not broken off when asked to end: a server that is half stopped cannot be started again.
        self.stopping = true;
        server.stop().await?;
        self.stopped = true;
        interrupt.unless(server.alone()).await?;
        for shard in &mut staged {
            interrupt.unless(shard.flushed()).await?;
        }

        self.step("exchanging the databases");
        let Standing { placed, metastore, differences } = match self.left_standing().await? {
            Some(aside) => self.go_on(aside)?,
            None => self.exchange(staged).await?,
        };

        self.step("starting the target");
        self.started = true;
        interrupt.unless(server.start()).await?;
        self.stays = self.config.recovery.is_some();
        self.step("asking every shard");
        let (cluster_id, databases) = (metastore.cluster_id, &self.selection.databases);
        let proof = prove::all(server.influx(), cluster_id, databases, &placed, self.config.parallel);
        let proven = interrupt.unless(proof).await?;
        // Only what has been proven may be replaced the next time without a question; what was recovered never may.
        let mut ours = None;
        if self.config.recovery.is_none() {
            let paths = self.target.paths.clone();
            let more = Ours::none(&metastore).and(&self.target.ours).with_selected(self.selection);
            let more = more.with(loaded::DATABASE, loaded::DATABASE);
            ours = Some(files::blocking(move || Ours::add(&paths, &metastore, &more)).await?);
        }
        let data_directory = self.target.paths.data.display().to_string();
        Ok(Exchanged {
            proven,
            cluster_id,
            data_directory,
            differences,
            ours,
            copies: Vec::new(),
            aside: self.aside.take(),
        })
    }

    /// Clears up after an interrupted run, now that nobody has these files open; hands out a recovery that stands and was to
    /// bring the same.
    async fn left_standing(&self) -> Result<Option<Aside>, Error> {
        let paths = self.target.paths.clone();
        let Some(aside) = files::blocking(move || aside::recover(&paths)).await? else { return Ok(None) };
        if self.config.recovery.is_some() && aside.recovered().is_some_and(|left| left.is_of(self.selection)) {
            return Ok(Some(aside));
        }
        files::blocking(move || aside.discard()).await?;
        Ok(None)
    }

    /// What an interrupted recovery has put in place is there, and only has to be proven: its journal tells where each shard
    /// is and what to ask it for.
    fn go_on(&mut self, aside: Aside) -> Result<Standing, Error> {
        self.stays = true;
        let left = aside.recovered().cloned().ok_or_else(|| Error::new(Kind::Failed, "the recovery left no word"))?;
        self.aside = Some(aside);
        let shards = self.selection.shards.iter().map(|(_, record)| record).filter(|record| self.is_asked_for(record));
        let witnesses = |record: &ShardRecord| left.witnesses.get(&record.shard_id).cloned().unwrap_or_default();
        let placed =
            shards.map(|record| Placed::of(record, witnesses(record), &left.shards)).collect::<Result<_, _>>()?;
        let differences = vec!["an earlier recovery, which was cut off, had put everything in place".to_owned()];
        Ok(Standing { placed, metastore: read_metastore(&self.target.paths)?, differences })
    }

    /// Sets the old databases aside and puts the new ones in their place, the metastore last.
    async fn exchange(&mut self, staged: Vec<StagedShard>) -> Result<Standing, Error> {
        let (paths, owner, databases) = (&self.target.paths, self.target.owner, &self.selection.databases);
        let (old, occupied) = {
            let (paths, names) = (paths.clone(), self.names());
            files::blocking(move || Ok((read_metastore(&paths)?, place::occupied(&paths, &names)?))).await?
        };
        if old.cluster_id != self.target.metastore.cluster_id {
            let message = format!("{} is another one than before the stop", meta_db(paths).display());
            return Err(Error::new(Kind::Failed, message).hint("does something else restore there?"));
        }
        if self.config.recovery.is_some() {
            // A client may have made one while the night was fetched.
            recovery::check_free(paths, &old, self.selection, None)?;
        }
        let stored = self.selection.shard_ids();
        let cluster_id = self.new_cluster_id;
        let wish = Wish { purpose: self.purpose(), databases, stored: &stored, occupied: &occupied, cluster_id };
        let mut merged = merge::merge(&old, &self.selection.metastore, &wish)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot merge the metastores: {error}")))?;
        if self.config.recovery.is_none() {
            // The mark by which the next run knows that we were here comes together with the databases.
            merge::add_database(&mut merged.data, loaded::DATABASE);
        }

        self.asked_to_end().await?;
        let exchange = Exchange {
            container: self.selection.manifest.container.clone(),
            databases: self.names(),
            stored_as: self.selection.stored_as.clone(),
            drop_first: self.config.drop_first,
            recovered: self.config.recovery.is_some().then(|| Recovered {
                manifest_sha256: self.selection.manifest_sha256.clone(),
                databases: databases.clone(),
                shards: merged.shards.clone(),
                witnesses: staged.iter().map(|shard| (shard.record.shard_id, shard.witnesses.clone())).collect(),
            }),
        };
        let asked_for = staged.iter().filter(|shard| self.is_asked_for(&shard.record));
        let placed = asked_for.map(|shard| Placed::of(&shard.record, shard.witnesses.clone(), &merged.shards));
        let placed = placed.collect::<Result<_, _>>()?;
        let old = self.old.insert(old);
        let aside = {
            let paths = paths.clone();
            files::blocking(move || Aside::set(&paths, owner, exchange)).await?
        };
        let aside = self.aside.insert(aside);
        {
            let (paths, ids) = (paths.clone(), merged.shards);
            files::blocking(move || place::shards(&paths, owner, &staged, &ids)).await?;
        }
        let bytes = merged.data.to_meta_db();
        aside.before_metastore(old, &merged.data)?;
        self.written = true;
        files::replace(&meta_db(paths), &meta_db(paths), &bytes)?;
        aside.after_metastore()?;
        let differences = merged.differences.iter().map(ToString::to_string);
        let differences = differences.chain(self.expiring.said.iter().cloned()).collect();
        Ok(Standing { placed, metastore: merged.data, differences })
    }

    /// Whether this shard must answer.
    fn is_asked_for(&self, record: &ShardRecord) -> bool {
        !self.expiring.shards.contains(&record.shard_id)
    }

    /// What the databases are restored for.
    fn purpose(&self) -> Purpose {
        if self.config.recovery.is_some() { Purpose::Recovery } else { Purpose::Copy }
    }

    /// The databases that are exchanged. The loaded record, which says what an intermediary holds, goes first; a copy under
    /// another name leaves it, and what it says of.
    fn names(&self) -> Vec<String> {
        let replaces = self.config.recovery.is_none() && self.selection.stored_as.is_none();
        let record = replaces.then(|| loaded::DATABASE.to_owned());
        record.into_iter().chain(self.selection.databases.iter().cloned()).collect()
    }

    /// An error if the restore has been asked to end.
    async fn asked_to_end(&self) -> Result<(), Error> {
        self.config.interrupt.unless(async { Ok(()) }).await
    }

    /// Back to the old state, as far as it was left; the error says what became of it. A server that could not be
    /// stopped still has it.
    pub(super) async fn back(mut self, server: &Server<'_>, error: Error) -> Error {
        if !self.stopping {
            return error;
        }
        if self.stays {
            return self.stay(server, error).await;
        }
        let kind = if error.kind() == Kind::Passing { Kind::Failed } else { error.kind() };
        let dropped = self.aside.as_ref().is_some_and(Aside::is_empty) && self.config.drop_first;
        let undone = if self.stopped { self.undo(server).await } else { server.keep_up().await };
        let (end, hint) = match undone {
            Ok(()) if !self.stopped => ("nothing was changed, and the target answers".to_owned(), None),
            Ok(()) if dropped => {
                ("the old databases had been dropped first; the target answers without them".to_owned(), None)
            }
            Ok(()) => ("the target's old state is back, and answers".to_owned(), None),
            Err(second) => {
                let paths = &self.target.paths;
                let mut hint = "run the same command again once the cause is mended".to_owned();
                // A server that is down does not tell where its files are.
                if let Some(flags) =
                    self.config.directories.flags_while_down(paths, server.influx().url().port_or_known_default())
                {
                    hint += &format!(", with --influx-config, or {flags}");
                }
                let folder = paths.data.join(aside::FOLDER);
                if folder.exists() {
                    hint += &format!("; what was set aside and is not back lies in {}", folder.display());
                }
                let what = if self.stopped { "the old state could not be brought back" } else { "the target is down" };
                (format!("and {what}: {second}"), Some(hint))
            }
        };
        let hint = hint.or_else(|| error.hint_text().map(str::to_owned));
        let error = Error::new(kind, format!("{error}; {end}"));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// After an error on a recovered server: everything is in its place, and with it what clients have written since, so
    /// nothing is taken back. The journal stays, by which the next run goes on.
    async fn stay(&self, server: &Server<'_>, error: Error) -> Error {
        let end = match server.start().await {
            Ok(()) => "the databases are in place, and the target answers".to_owned(),
            Err(second) => format!("the databases are in place, and the target is down: {second}"),
        };
        Error::new(Kind::Failed, format!("{error}; {end}"))
            .hint("nothing is lost; mend the cause, then run the same command again, which proves what is there")
    }

    async fn undo(&mut self, server: &Server<'_>) -> Result<(), Error> {
        if self.started {
            server.stop().await?;
            server.alone().await?;
        }
        self.step("putting the old state back");
        let (paths, names, purpose) = (self.target.paths.clone(), self.names(), self.purpose());
        let (aside, old, written) = (self.aside.take(), self.old.take(), self.written);
        files::blocking(move || {
            let Some(mut aside) = aside else { return Ok(()) };
            if let (Some(old), true) = (old, written) {
                // The server may have changed other databases since.
                let back = read_metastore(&paths)
                    .map_or_else(|_| old.clone(), |now| merge::take_back(&now, &old, &names, purpose));
                files::replace(&meta_db(&paths), &meta_db(&paths), &back.to_meta_db())?;
                aside.metastore_taken_back()?;
            }
            aside.put_back()
        })
        .await?;
        server.start().await
    }

    fn step(&self, name: &str) {
        self.progress.report(Event::Step(name));
    }
}
