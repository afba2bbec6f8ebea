//! A command of the user's that is run beside a job: by `sh -c`, with variables of ours, and ended with all it has started.

use std::io;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::{Error, Interrupt, Kind};

/// How long a command may take to end once it is asked to.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often it is looked whether all that a command had started is gone.
const LOOK: Duration = Duration::from_millis(20);

/// A command for the shell. What it prints is talk, and goes to stderr.
#[derive(Debug, Clone)]
pub struct Shell<'a> {
    /// What the shell runs.
    pub command: &'a str,
    /// Variables besides those that there are.
    pub environment: Vec<(&'static str, String)>,
    /// What it can read; it need not.
    pub input: Vec<u8>,
}

impl Shell<'_> {
    /// Runs the command. When `interrupt` asks for it, it is ended, and everything that it has started.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end with 0.
    pub async fn run(self, interrupt: &Interrupt) -> Result<(), Error> {
        let Shell { command, environment, input } = self;
        let failed = |error: &io::Error| Error::io(format!("run `{command}`"), error);
        let talk = io::stderr().as_fd().try_clone_to_owned().map_err(|error| failed(&error))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdout(talk).envs(environment);
        shell.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
        // A group of its own, so that a signal reaches what the shell has started.
        let mut child = shell.process_group(0).kill_on_drop(true).spawn().map_err(|error| failed(&error))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).map(Group);
        let pipe = child.stdin.take();
        let feed = async {
            if let Some(mut pipe) = pipe {
                // One that does not want to read it all, or any of it, is right too.
                let _ = pipe.write_all(&input).await;
            }
            // The pipe is closed here: who reads to its end must find it.
        };
        let ended = tokio::select! {
            (status, ()) = async { tokio::join!(child.wait(), feed) } => Some(status),
            () = interrupt.requested() => None,
        };
        let status = match (ended, group) {
            (None, Some(group)) => end(&mut child, group).await,
            (None, None) => child.wait().await,
            (Some(status), group) => {
                // What it has left in the background on purpose may stay.
                std::mem::forget(group);
                status
            }
        };
        let status = status.map_err(|error| failed(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::new(Kind::Failed, format!("`{command}` ended with {status}")))
        }
    }
}

/// What a command has started, ended with whoever waits for it.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // There may be nobody left.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Ends a command and what it has started, which may have something to put in order first.
async fn end(child: &mut Child, group: Group) -> io::Result<ExitStatus> {
    // One that has ended meanwhile need not be told.
    let _ = kill_process_group(group.0, Signal::TERM);
    let gone = async {
        let status = child.wait().await;
        while test_kill_process_group(group.0).is_ok() {
            sleep(LOOK).await;
        }
        status
    };
    if let Ok(status) = timeout(FAREWELL, gone).await {
        return status;
    }
    drop(group);
    child.wait().await
}
