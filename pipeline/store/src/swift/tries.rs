//! How often and how patiently a call is tried, and the one place where a status becomes an outcome.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::Settings;
use crate::Error;

/// No pause is longer, whatever the store asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is being done, for messages.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Completes "cannot …".
    pub(super) operation: String,
    /// The thing it is done to.
    pub(super) object: String,
    /// The store.
    pub(super) location: String,
}

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection could not be made, broke, or stood still.
    Network(String),
    /// The store answered, but not with success.
    Status {
        status: StatusCode,
        /// What the body of the answer said, shortened.
        reason: String,
        /// How long the store asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// What arrived there is not what was sent.
    Damaged { what: &'static str, declared: String, actual: String },
    /// The answer ended early.
    Short { received: u64, expected: u64 },
    /// No further try can help.
    Final(Error),
}

impl Fault {
    /// A refusal by the store for lack of a valid token.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Fault::Status { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Fault::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether another try may succeed.
    fn passes(&self) -> bool {
        match self {
            Fault::Network(reason) => !is_about_trust(reason),
            Fault::Status { status, .. } => passes(*status),
            Fault::Damaged { .. } | Fault::Short { .. } => true,
            Fault::Final(_) => false,
        }
    }

    /// Takes `secret` out of the words that came from outside: an error page may repeat the request.
    pub(super) fn hide(mut self, secret: &str) -> Fault {
        if let Fault::Network(reason) | Fault::Status { reason, .. } = &mut self
            && !secret.is_empty()
            && reason.contains(secret)
        {
            *reason = reason.replace(secret, "(hidden)");
        }
        self
    }
}

/// Whether the network's word is that of TLS on a certificate. Such a one does not become trusted by waiting.
fn is_about_trust(reason: &str) -> bool {
    reason.contains("invalid peer certificate")
}

/// Statuses that tell of the moment, not of the request. (498 is a rate limit of Swift's, 499 a connection that
/// broke on the store's side.)
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 498 | 499) || status.is_server_error()
}

/// The tries of one call.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    settings: &'a Settings,
    call: Call,
    begun: Instant,
    failed: u32,
    /// Whether the token has been renewed for this call; once must be enough.
    pub(super) renewed: bool,
    /// Whether "not found" is still to be asked about a second time.
    pub(super) doubts_not_found: bool,
}

impl<'a> Tries<'a> {
    pub(super) fn new(settings: &'a Settings, call: Call) -> Tries<'a> {
        Tries { settings, call, begun: Instant::now(), failed: 0, renewed: false, doubts_not_found: false }
    }

    /// Doubting tries after `failed` others, which have failed already.
    pub(super) fn resume(settings: &'a Settings, call: Call, failed: u32) -> Tries<'a> {
        Tries { failed, ..Tries::doubting(settings, call) }
    }

    /// Tries that believe "not found" only when they hear it twice: a server that is just putting a newer object in
    /// the place of an older one may say so for a moment (seen with Swift 2.30 and one replica).
    pub(super) fn doubting(settings: &'a Settings, call: Call) -> Tries<'a> {
        Tries { doubts_not_found: true, ..Tries::new(settings, call) }
    }

    /// How many tries have failed so far.
    pub(super) fn failed(&self) -> u32 {
        self.failed
    }

    /// Waits until the next try, or says why there is none.
    pub(super) async fn pause(&mut self, fault: Fault) -> Result<(), Error> {
        self.failed += 1;
        if !fault.passes() || self.failed >= self.settings.tries {
            return Err(self.error(fault));
        }
        let asked = match &fault {
            Fault::Status { retry_after: Some(asked), .. } => *asked,
            _ => Duration::ZERO,
        };
        let pause = backoff(self.settings.first_pause, self.failed).max(asked).min(LONGEST_PAUSE);
        tracing::warn!(
            operation = %self.call.operation,
            fault = %self.error(fault),
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "a try failed, another follows"
        );
        sleep(pause).await;
        Ok(())
    }

    /// The outcome that `fault` is when nothing more is tried.
    pub(super) fn error(&self, fault: Fault) -> Error {
        let Call { operation, object, location } = self.call.clone();
        let (tries, elapsed) = (self.failed, self.begun.elapsed());
        let (status, reason) = match fault {
            Fault::Final(error) => return error,
            Fault::Network(reason) if is_about_trust(&reason) => {
                return Error::Settings {
                    message: format!("cannot {operation}: {reason}"),
                    hint: "give the certificate of the authority that signed the server's (OS_CACERT)".to_owned(),
                };
            }
            Fault::Network(reason) => return Error::Unreachable { operation, reason, tries, elapsed },
            Fault::Damaged { what, declared, actual } => {
                return Error::Mismatch { operation, what, declared, actual };
            }
            Fault::Short { received, expected } => {
                return Error::Truncated { operation, received, expected, tries };
            }
            Fault::Status { status, reason, .. } => (status, reason),
        };
        let words = status.to_string();
        match status.as_u16() {
            401 => Error::Unauthorized { operation, reason: format!("{words}: {reason}") },
            403 => Error::Forbidden { operation, status: words, reason },
            404 => Error::NotFound { object, location },
            409 | 412 => Error::Conflict { operation, status: words, reason },
            413 | 507 => Error::Full { operation, reason: format!("{words} ({reason})"), tries, elapsed },
            _ => Error::Refused { operation, status: words, passing: passes(status), reason, tries, elapsed },
        }
    }
}

/// The pause after the `failed`th failure in a row: doubling, and shortened at random by up to a half, so that many
/// who failed together do not come back together.
fn backoff(first: Duration, failed: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_jitter_and_are_bounded() {
        let first = Duration::from_secs(1);
        for (failed, longest) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60)] {
            let pause = backoff(first, failed);
            let longest = Duration::from_secs(longest);
            assert!((longest / 2..=longest).contains(&pause), "{pause:?} after {failed} failures");
        }
    }

    #[test]
    fn statuses_of_the_moment_pass() {
        for (status, expected) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (409, false),
            (412, false),
            (413, false),
            (416, false),
            (422, false),
            (429, true),
            (498, true),
            (499, true),
            (500, true),
            (502, true),
            (503, true),
            (504, true),
            (507, true),
        ] {
            assert_eq!(passes(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }

    #[test]
    fn what_a_server_repeats_of_a_secret_is_hidden() {
        let fault = Fault::Network("you said s3cret, s3cret!".to_owned()).hide("s3cret");
        assert!(matches!(fault, Fault::Network(reason) if reason == "you said (hidden), (hidden)!"));
    }
}
