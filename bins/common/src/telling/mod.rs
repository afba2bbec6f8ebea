//! What others are told when a program ends: monitoring, an address, a service that waits for a sign of life, hooks.
//!
//! The job is over by then, and its exit code decided. What cannot be told is a warning, and changes neither.

mod address;
mod metrics;

use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::{Interrupt, Metric, Shell};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::options::Telling;

/// How long a hook may take.
const HOOK: Duration = Duration::from_secs(60);

/// How a run ended. Sent to `--notify-url`, and read by hooks from standard input: members are added, never changed.
#[derive(Debug, Serialize)]
pub(crate) struct Ending {
    /// `nightshard-outcome/1`.
    pub(crate) format: &'static str,
    /// Such as `nightshard-backup`.
    pub(crate) program: String,
    /// Such as `0.1.0`.
    pub(crate) version: String,
    /// The machine.
    pub(crate) host: String,
    /// When it began.
    pub(crate) started: DateTime<Utc>,
    /// When it ended.
    pub(crate) finished: DateTime<Utc>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// The exit code.
    pub(crate) exit_code: u8,
    /// Whether that is 0.
    pub(crate) success: bool,
    /// What it would print for people; `null` when there is no outcome.
    pub(crate) summary: Option<String>,
    /// The items that failed although the job as a whole did not.
    pub(crate) failures: Vec<String>,
    /// Why there is no outcome.
    pub(crate) error: Option<String>,
    /// What to do about that.
    pub(crate) hint: Option<String>,
    /// What it would print with `--json`; `null` when there is none.
    pub(crate) outcome: Option<Box<RawValue>>,
}

/// Tells everybody who is to be told.
pub(crate) async fn tell(telling: &Telling, ending: &Ending, measured: &[Metric]) {
    let failed = |what: String| tracing::warn!("{what}");
    if let Some(pattern) = &telling.metrics
        && let Err(what) = metrics::write(pattern, ending, measured)
    {
        failed(what);
    }
    let document = match serde_json::to_vec(ending) {
        Ok(document) => document,
        Err(error) => return failed(format!("cannot write the outcome as JSON: {error}")),
    };
    if let Some(url) = &telling.notify_url
        && let Err(what) = address::post(url, document.clone()).await
    {
        failed(format!("cannot notify: {what}"));
    }
    if let Some(url) = telling.ping_url.as_ref().filter(|_| ending.success)
        && let Err(what) = address::ping(url).await
    {
        failed(format!("cannot give the sign of life: {what}"));
    }
    let hook = if ending.success { &telling.on_success } else { &telling.on_failure };
    if let Some(command) = hook {
        let said = ending.error.iter().chain(&ending.failures).chain(&ending.summary).next().cloned();
        let environment = vec![
            ("NIGHTSHARD_PROGRAM", ending.program.clone()),
            ("NIGHTSHARD_EXIT_CODE", ending.exit_code.to_string()),
            ("NIGHTSHARD_MESSAGE", said.unwrap_or_default()),
        ];
        let shell = Shell { command, environment, input: document };
        let limit = Interrupt::new();
        let late = async {
            tokio::time::sleep(HOOK).await;
            limit.request();
            // What follows is the hook's own end.
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = shell.run(&limit) => ended,
            () = late => Ok(()),
        };
        if let Err(error) = ended {
            failed(format!("the hook failed: {error}"));
        }
    }
}
