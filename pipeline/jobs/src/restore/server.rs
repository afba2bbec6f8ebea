//! Stops and starts the target's server, and believes what it sees rather than what the commands say.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use influx::Influx;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::directories::Paths;
use super::files::blocking;
use super::target::{Target, answers};
use super::{Config, aside};
use crate::{Error, Kind};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// How long a connection on this machine may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// How long after a failed stop a server may go down unseen.
const LATE: Duration = Duration::from_secs(15);

/// So much of what a command printed stands in an error, in bytes from its end.
const SHOWN: u64 = 500;

/// The target's server as something to stop and start.
#[derive(Debug)]
pub(super) struct Server<'a> {
    influx: &'a Influx,
    config: &'a Config,
    paths: &'a Paths,
}

/// A process, told from a later one of the same number by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    id: u64,
    started: u64,
}

impl<'a> Server<'a> {
    pub(super) fn new(config: &'a Config, influx: &'a Influx, target: &'a Target) -> Server<'a> {
        Server { influx, config, paths: &target.paths }
    }

    /// The server's client.
    pub(super) fn influx(&self) -> &Influx {
        self.influx
    }

    /// Runs the stop command, and returns when nothing answers any more and the process has ended.
    ///
    /// # Errors
    ///
    /// When that does not come to pass within the time for it.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        let process = match timeout(CONNECT, self.influx.diagnostics()).await {
            Ok(Ok(diagnostics)) => diagnostics.pid.and_then(Process::of),
            _ => None,
        };
        let command = &self.config.stop_command;
        let (status, output) = self.run(command).await?;
        let begun = Instant::now();
        while let Some(life) = self.sign_of_life(process).await? {
            let patience = if status.success() { self.config.start_timeout } else { Duration::ZERO };
            if begun.elapsed() >= patience {
                let message = format!("the target is not stopped by `{command}` ({status}){output}: {life}");
                return Err(
                    Error::new(Kind::Failed, message).hint("is this the command that stops it? see --stop-command")
                );
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// After a stop that failed: the server may go down yet, for instance when its command only took too long. Watches
    /// for a while, and starts it again should it be down.
    ///
    /// # Errors
    ///
    /// When it is down and does not come up.
    pub(super) async fn keep_up(&self) -> Result<(), Error> {
        let begun = Instant::now();
        while self.sign_of_life(None).await?.is_some() {
            if begun.elapsed() >= LATE.min(self.config.start_timeout) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        self.alone().await?;
        self.start().await
    }

    /// Waits until no process has the target's files open any more: one that does not answer may have them, too.
    ///
    /// # Errors
    ///
    /// When one has them still after the time for a stop.
    pub(super) async fn alone(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let (paths, own) = (self.paths.clone(), u64::from(self.config.place.process));
            let Some(holder) = blocking(move || Ok(open_files(&paths, own))).await? else { return Ok(()) };
            if begun.elapsed() >= self.config.start_timeout {
                let message = format!("the target is stopped, but {holder}");
                return Err(Error::new(Kind::Failed, message).hint("end that process, then run the same command again"));
            }
            sleep(PAUSE).await;
        }
    }

    /// Runs the start command and waits until the server answers.
    pub(super) async fn start(&self) -> Result<(), Error> {
        let command = &self.config.start_command;
        let failed = |what: String| {
            Error::new(Kind::Failed, what).hint("the server's own log says why; see --start-command, --start-timeout")
        };
        let (status, output) = self.run(command).await?;
        if !status.success() {
            return Err(failed(format!("the target is not started by `{command}` ({status}){output}")));
        }
        let begun = Instant::now();
        while !answers(self.influx).await? {
            if begun.elapsed() >= self.config.start_timeout {
                let (url, patience) = (self.influx.url(), self.config.start_timeout);
                return Err(failed(format!("the target does not answer at {url}, {patience:?} after `{command}`")));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// What shows that the server still runs.
    async fn sign_of_life(&self, process: Option<Process>) -> Result<Option<String>, Error> {
        if answers(self.influx).await? {
            return Ok(Some(format!("it answers at {}", self.influx.url())));
        }
        let address = self.influx.snapshot_address();
        if let Ok(Ok(_)) = timeout(CONNECT, TcpStream::connect(address)).await {
            return Ok(Some(format!("its snapshot service answers at {address}")));
        }
        if let Some(process) = process
            && Process::of(process.id) == Some(process)
        {
            return Ok(Some(format!("its process {} has not ended", process.id)));
        }
        Ok(None)
    }

    /// Runs a command by the shell; what it printed comes with a colon before it.
    ///
    /// Its output goes to a file: a pipe would be held open by a server that it leaves in the background.
    async fn run(&self, command: &str) -> Result<(ExitStatus, String), Error> {
        let failed = |error: &std::io::Error| Error::io(format!("run `{command}`"), error);
        let mut output = tempfile::tempfile().map_err(|error| failed(&error))?;
        let copy = || output.try_clone().map_err(|error| failed(&error));
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(copy()?)
            .stderr(copy()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let Ok(ended) = timeout(self.config.start_timeout, child.wait()).await else {
            child.kill().await.map_err(|error| failed(&error))?;
            let message = format!("`{command}` has not ended after {:?}", self.config.start_timeout);
            return Err(Error::new(Kind::Failed, message).hint("it must end by itself; see --start-timeout"));
        };
        let status = ended.map_err(|error| failed(&error))?;
        let mut bytes = Vec::new();
        let end = output.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
        output.seek(SeekFrom::Start(end.saturating_sub(SHOWN))).map_err(|error| failed(&error))?;
        output.take(SHOWN).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        Ok((status, if text.is_empty() { text } else { format!(": {text}") }))
    }
}

impl Process {
    /// The process of this number, if it runs; one that only waits to be reaped does not.
    fn of(id: u64) -> Option<Process> {
        // The name, in parentheses, may hold anything; behind it stand the state, and as 20th the time of the start.
        let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        // The first thread of a process may be a zombie while others still have its ports and files.
        let threads = || fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
        let runs = !matches!(*fields.first()?, "Z" | "X") || threads() > 1;
        let started = fields.get(19)?.parse().ok()?;
        runs.then_some(Process { id, started })
    }
}

/// A process that has a file of the target open, as far as we may look: without the privilege to trace others' processes
/// only our own user's are seen.
fn open_files(paths: &Paths, own: u64) -> Option<String> {
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else { continue };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else { continue };
        let mut files = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if let Some(file) = files.find(|file| id != own && is_the_targets(paths, file)) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("process {id} ({}) has {} open", name.trim(), file.display()));
        }
    }
    None
}

fn is_the_targets(paths: &Paths, file: &Path) -> bool {
    let ours = [&paths.data, &paths.wal].iter().any(|directory| file.starts_with(directory.join(aside::FOLDER)));
    !ours && [&paths.data, &paths.wal, &paths.meta].iter().any(|directory| file.starts_with(directory))
}
