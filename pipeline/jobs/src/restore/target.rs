//! Who the target is, whether it answers or not, and whether it may be restored onto.
//!
//! Identity is the cluster id, a random number in the metastore. Addresses prove nothing: source and target are both
//! often `127.0.0.1:8086`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use archive::manifest::Source;
use influx::metastore::Data;
use influx::{Diagnostics, Influx};
use tokio::time::{sleep, timeout};

use super::Config;
use super::aside;
use super::directories::{Paths, Told};
use super::files::{self, Owner};
use super::ours::Ours;
use super::recovery;
use super::selection::Selection;
use crate::loaded::{self, Copied, Memory};
use crate::{Error, Kind, Lock};

/// A server that has not answered a ping by then does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a server that answers a ping is asked who it is, when it does not answer that.
const TRIES: u32 = 10;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// The target as it was found.
#[derive(Debug)]
pub(super) struct Target {
    /// Its directories.
    pub(super) paths: Paths,
    /// To whom they belong.
    pub(super) owner: Owner,
    /// Its own host name.
    host: String,
    /// Its data directory in its own words.
    data_directory: String,
    /// Its metastore.
    pub(super) metastore: Data,
    /// No other restore works on these directories, by whatever address it came.
    _lock: Lock,
    /// The databases that we have restored there, or were restoring when we were cut off.
    pub(super) ours: Ours,
    /// Its records of copies under other names.
    pub(super) copies: Vec<Copied>,
}

impl Target {
    /// Asks the server, and where it does not answer, its files: a broken intermediary is no obstacle.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when its directories are not known, are not here, or are those of another server;
    /// [`Kind::Locked`] when another restore works on them.
    pub(super) async fn find(config: &Config, influx: &Influx) -> Result<Target, Error> {
        let (diagnostics, served, memory, copies) = if let Some((served, diagnostics)) = told(config, influx).await? {
            let (memory, copies) = match config.recovery {
                None => remembered(influx).await,
                Some(_) => (None, Vec::new()),
            };
            (diagnostics, Some(served), memory, copies)
        } else if config.new_database.is_some() {
            let message =
                format!("the target at {} does not answer, so that it cannot be told what it holds", influx.url());
            return Err(Error::new(Kind::Usage, message).hint("start it first: --new-database leaves what it holds"));
        } else {
            tracing::warn!("the target at {} does not answer; its files tell who it is", influx.url());
            (None, None, None, Vec::new())
        };
        let (directories, place) = (config.directories.clone(), config.place.clone());
        let (address, port) = (influx.url().to_string(), influx.url().port_or_known_default());
        files::blocking(move || {
            let told = diagnostics.as_ref().map(Told::from).unwrap_or_default();
            let paths = directories.resolve(Told { port, ..told })?;
            let lock = Lock::directory(&paths.meta)?;
            let owner = Owner::of(&paths.data)?;
            let metastore = read_metastore(&paths)?;
            if served.as_ref().is_some_and(|served| served.cluster_id != metastore.cluster_id) {
                let file = meta_db(&paths);
                return Err(Error::new(
                    Kind::Usage,
                    format!("{} is not the metastore of the server at {address}", file.display()),
                )
                .hint("the restore runs on the target's machine, with the target's directories; is --target right?"));
            }
            let told = |pick: fn(Diagnostics) -> Option<String>| diagnostics.clone().and_then(pick);
            let metastore = served.unwrap_or(metastore);
            let mut ours = Ours::read(&paths, &metastore)?;
            match Ours::recall(memory.as_ref(), &metastore) {
                Ok(recalled) => ours = ours.and(&recalled),
                Err(error) => tracing::warn!("{error}; its files tell as well"),
            }
            Ok(Target {
                _lock: lock,
                ours: aside::with_interrupted(&paths, ours)?,
                copies,
                host: told(|told| told.hostname).unwrap_or(place.host),
                data_directory: told(|told| told.data_dir).unwrap_or_else(|| paths.data.display().to_string()),
                metastore,
                owner,
                paths,
            })
        })
        .await
    }

    /// Whether the night may be recovered onto this target; tells the new cluster id that it must get, if any.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when the target has one of the databases.
    pub(super) fn admit_recovery(&self, selection: &Selection) -> Result<Option<u64>, Error> {
        let left = aside::interrupted_recovery(&self.paths)?;
        recovery::check_free(&self.paths, &self.metastore, selection, left.as_ref())?;
        let rebuilt = recovery::is_rebuilt(&self.metastore);
        Ok(rebuilt.then_some(selection.metastore.cluster_id))
    }

    /// Whether the night may be restored onto this target; tells the new cluster id that it must get, if any.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when the target is the source or holds a database under the name of our own, and, without
    /// `first_restore`, when it looks like the source's twin or holds a database of the night that we did not restore.
    pub(super) fn admit(&self, selection: &Selection, first_restore: bool) -> Result<Option<u64>, Error> {
        let source = &selection.manifest.source;
        if self.is_foreign(loaded::DATABASE, loaded::DATABASE) {
            return Err(not_our_record());
        }
        if self.metastore.cluster_id.to_string() == source.cluster_id {
            return self.admit_twin(source, first_restore).map(Some);
        }
        let foreign: Vec<&str> = selection
            .databases
            .iter()
            .map(String::as_str)
            .filter(|name| self.is_foreign(name, selection.stored_name(name)))
            .collect();
        check_foreign(&foreign, selection, first_restore).map(|()| None)
    }

    /// Whether a target with the cluster id of the backup's source may be restored onto: it is the source, or a copy of it.
    /// Tells the id that it must get.
    fn admit_twin(&self, source: &Source, first_restore: bool) -> Result<u64, Error> {
        let Source { cluster_id: id, host, data_directory, .. } = source;
        let own_directory = self.paths.data.display().to_string();
        if host.is_empty() && data_directory.is_empty() {
            let message = format!(
                "the target has the cluster id of the backup's source, {id}, and nothing tells whether it is that server: the night \
                 was adopted"
            );
            return Err(Error::new(Kind::Usage, message).hint(
                "--target must name the intermediary, production is never restored onto; if this is one to which `influxd restore` \
                 once gave that id, it gets its own from a night of nightshard-backup, restored once with --first-restore",
            ));
        }
        // What a source does not tell cannot make a twin of it.
        let same_host = host.is_empty() || *host == self.host;
        let same_directory = [&String::new(), &self.data_directory, &own_directory].contains(&data_directory);
        if same_host && same_directory {
            let message = format!(
                "the target is the server that the backup came from: cluster id {id}, host name {} and data directory {own_directory} are the source's",
                self.host
            );
            return Err(Error::new(Kind::Usage, message).hint(
                "--target must name the intermediary, production is never restored onto; if this is the intermediary, give it another data directory, or host name",
            ));
        }
        if first_restore {
            return Ok(new_cluster_id(self.metastore.cluster_id));
        }
        let host = (!same_host).then(|| format!("its host name: {host} in the backup, {} here", self.host));
        let directory = (!same_directory)
            .then(|| format!("its data directory: {data_directory} in the backup, {} here", self.data_directory));
        let differs: Vec<String> = host.into_iter().chain(directory).collect();
        let message = format!(
            "the target has the cluster id of the backup's source, {id}, and differs from it only in {}",
            differs.join(", and ")
        );
        Err(Error::new(Kind::Usage, message).hint(format!(
            "is this machine, {}, production, perhaps under a new name? then do NOT give --first-restore, it would lose its databases; give it once if this is a copy that `influxd restore` once made: it gets an id of its own",
            self.host
        )))
    }

    /// Whether it holds a database of this name that is not a restore's.
    fn is_foreign(&self, name: &str, stored: &str) -> bool {
        let there = self.metastore.database(name).is_some() || self.paths.data.join(name).exists();
        there && !self.ours.has(name, stored)
    }
}

/// What to say of a database under the name of our own that is not ours.
pub(super) fn not_our_record() -> Error {
    let message = format!("the target holds a database {} which this program did not make", loaded::DATABASE);
    Error::new(Kind::Usage, message).hint(
        "this program keeps its own record in a database of that name; copy this one under another name, then drop it",
    )
}

/// Whether databases that no restore has made may be replaced: if told so, and never by a copy under another name.
pub(super) fn check_foreign(foreign: &[&str], selection: &Selection, first_restore: bool) -> Result<(), Error> {
    if let (Some(stored), [name, ..]) = (&selection.stored_as, foreign) {
        let message = format!("the target holds a database {name} which this program did not restore from {stored}");
        return Err(
            Error::new(Kind::Usage, message).hint("choose another name for --new-database, or drop that database")
        );
    }
    if foreign.is_empty() || first_restore {
        return Ok(());
    }
    let message = match *foreign {
        [name] => format!("the target holds a database {name} which was not restored by this program"),
        _ => format!("the target holds databases which were not restored by this program: {}", foreign.join(", ")),
    };
    Err(Error::new(Kind::Usage, message).hint("if they may be replaced, give --first-restore once; is --target right?"))
}

/// What the running target remembers, as far as it does: what it cannot tell any more is no obstacle.
async fn remembered(influx: &Influx) -> (Option<Memory>, Vec<Copied>) {
    let asked = async { Ok::<_, Error>((loaded::memory(influx).await?, loaded::copies(influx).await?)) };
    asked.await.unwrap_or_else(|error| {
        tracing::warn!("the target does not tell what was restored there before: {error}");
        (None, Vec::new())
    })
}

/// What the server tells of itself on both of its ports; `None` if it does not answer. One that is about to end, since an
/// interrupted run has stopped it, does not answer on both any more, and soon on none.
async fn told(config: &Config, influx: &Influx) -> Result<Option<(Data, Option<Diagnostics>)>, Error> {
    for tries in 1.. {
        if !answers(influx).await? {
            break;
        }
        let asked = async {
            let data = influx.snapshot().metastore().await?.data;
            match influx.diagnostics().await {
                // A rebuilt server that asks for passwords has no user yet whom it would answer.
                Err(influx::Error::Unauthorized { .. }) if config.recovery.is_some() => Ok((data, None)),
                other => Ok((data, Some(other?))),
            }
        };
        match asked.await {
            Ok(told) => return Ok(Some(told)),
            Err(error) if tries < TRIES && influx::Error::is_passing(&error) => {
                tracing::debug!("{error}; asking again")
            }
            Err(error) => return Err(error.into()),
        }
        sleep(PAUSE).await;
    }
    Ok(None)
}

/// Whether the server answers a ping. One that answers in a way that waiting does not mend, such as being too old, is an
/// error.
pub(super) async fn answers(influx: &Influx) -> Result<bool, Error> {
    match timeout(PATIENCE, influx.ping()).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if error.is_passing() => Ok(false),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// The file that holds the metastore.
pub(super) fn meta_db(paths: &Paths) -> PathBuf {
    paths.meta.join("meta.db")
}

/// The metastore as it lies on disk.
///
/// # Errors
///
/// Also when it holds something that we do not know, and would lose when we write it.
pub(super) fn read_metastore(paths: &Paths) -> Result<Data, Error> {
    let file = meta_db(paths);
    let hint = "start the target once by hand so that it makes its metastore; are its directories right?";
    let bytes = fs::read(&file).map_err(|error| Error::io(format!("read {}", file.display()), &error).hint(hint))?;
    let data = Data::from_meta_db(&bytes)
        .map_err(|fault| Error::new(Kind::Failed, format!("cannot read {}: {fault}", file.display())).hint(hint))?;
    if data.to_meta_db() == bytes {
        return Ok(data);
    }
    Err(Error::new(Kind::Failed, format!("{} holds more than this version knows, and would lose it", file.display()))
        .hint("nothing was changed; a newer version of this program may know it"))
}

fn new_cluster_id(old: u64) -> u64 {
    loop {
        // InfluxDB draws 63 bits.
        let id = rand::random::<u64>() >> 1;
        if id != 0 && id != old {
            return id;
        }
    }
}
