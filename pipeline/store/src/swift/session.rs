//! Who we are, proven: the token, its renewal, and where the store is.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::time::Instant;

use super::settings::{Credentials, Identity, KeystoneCredentials, without_userinfo};
use super::tries::{Call, Fault, Tries};
use super::{Settings, keystone, wire};
use crate::Error;

/// An upload begins only with a token that lives longer than this.
const LEFT_FOR_UPLOAD: Duration = Duration::from_secs(600);

/// The largest answer of Keystone that is read; catalogues have some kilobytes.
const LARGEST_ANSWER: usize = 4 << 20;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// A proof of identity, and where the store is that accepts it.
pub(super) struct Token {
    value: HeaderValue,
    /// Account's URL, without a slash at its end.
    pub(super) storage_url: String,
    /// When it expires, by this machine's monotonic clock.
    expires: Option<Instant>,
    /// When it expires, by the clock of who made it.
    expires_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("storage_url", &self.storage_url)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Shows the token with a request.
    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(AUTH_TOKEN, self.value.clone())
    }

    /// The secret itself, to be taken out of messages.
    pub(super) fn secret(&self) -> &str {
        self.value.to_str().unwrap_or_default()
    }

    fn expires_within(&self, time: Duration) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_duration_since(Instant::now()) <= time)
    }
}

/// The present token, shared by all calls of a store.
pub(super) struct Session {
    client: Client,
    settings: Arc<Settings>,
    current: Mutex<Arc<Token>>,
    /// Held while a new token is asked for, so that many calls wait for one.
    renewing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("current", &self.token()).finish_non_exhaustive()
    }
}

impl Session {
    /// Proves who we are for the first time.
    pub(super) async fn open(client: Client, settings: Arc<Settings>) -> Result<Session, Error> {
        let token = authenticate(&client, &settings).await?;
        Ok(Session { client, settings, current: Mutex::new(Arc::new(token)), renewing: tokio::sync::Mutex::default() })
    }

    /// The present token.
    pub(super) fn token(&self) -> Arc<Token> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The present token, or a new one where the present would soon expire.
    pub(super) async fn token_for_upload(&self) -> Result<Arc<Token>, Error> {
        let token = self.token();
        if !self.is_renewable() || !token.expires_within(LEFT_FOR_UPLOAD) {
            return Ok(token);
        }
        match self.renew(&token).await {
            // The old one will do as long as it lives, if the renewer is only out of reach for now.
            Err(error) if error.is_passing() && !token.expires_within(Duration::ZERO) => {
                tracing::warn!(%error, "the token expires soon and could not be renewed");
                Ok(token)
            }
            other => other,
        }
    }

    /// A token newer than `old`. Callers who come at the same time share one renewal.
    pub(super) async fn renew(&self, old: &Arc<Token>) -> Result<Arc<Token>, Error> {
        let _one_at_a_time = self.renewing.lock().await;
        let current = self.token();
        if !Arc::ptr_eq(&current, old) {
            return Ok(current);
        }
        tracing::debug!("asking for a new token");
        let token = Arc::new(authenticate(&self.client, &self.settings).await?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&token);
        Ok(token)
    }

    /// When the token expires, if it is one that we cannot renew.
    pub(super) fn unrenewable_token_expiry(&self) -> Option<DateTime<Utc>> {
        if self.is_renewable() { None } else { self.token().expires_at }
    }

    fn is_renewable(&self) -> bool {
        match &self.settings.credentials {
            Credentials::Version1 { .. } => true,
            Credentials::Keystone(keystone) => !matches!(keystone.identity, Identity::Token(_)),
        }
    }
}

/// Asks for a token, as often as the settings say.
async fn authenticate(client: &Client, settings: &Settings) -> Result<Token, Error> {
    let url = match &settings.credentials {
        Credentials::Version1 { auth_url, .. } => auth_url.clone(),
        Credentials::Keystone(keystone) => keystone::tokens_url(&keystone.auth_url),
    };
    let shown = without_userinfo(&url);
    let call = Call { operation: format!("authenticate at {shown}"), object: shown.clone(), location: String::new() };
    let mut tries = Tries::new(settings, call);
    loop {
        let tried = match &settings.credentials {
            Credentials::Version1 { user, key, .. } => version_1(client, settings, &url, user, key).await,
            Credentials::Keystone(keystone) => version_3(client, settings, &url, keystone).await,
        };
        let fault = match tried {
            Ok(token) => return Ok(token),
            Err(fault) => settings.secrets().into_iter().fold(fault, Fault::hide),
        };
        tries.pause(fault).await.map_err(|error| match error {
            Error::NotFound { .. } => Error::Settings {
                message: format!("cannot authenticate at {shown}: 404 Not Found"),
                hint: "check the address of the authentication (OS_AUTH_URL, or ST_AUTH for version 1)".to_owned(),
            },
            other => other,
        })?;
    }
}

/// Version 1: `GET` with user and key in headers, token and address in headers of the answer.
async fn version_1(client: &Client, settings: &Settings, url: &str, user: &str, key: &str) -> Result<Token, Fault> {
    let request = client.get(url).header("X-Auth-User", secret(user, url)?).header("X-Auth-Key", secret(key, url)?);
    let response = wire::exchange(request, settings).await?;
    let headers = response.headers();
    let storage_url = wire::text(headers, HeaderName::from_static("x-storage-url"))
        .ok_or_else(|| nonsense(url, "there is no X-Storage-Url"))?;
    let lifetime = wire::text(headers, HeaderName::from_static("x-auth-token-expires"))
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    Ok(Token {
        value: token_value(headers, AUTH_TOKEN, url)?,
        storage_url: storage_url.trim_end_matches('/').to_owned(),
        expires: lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime)),
        expires_at: None,
    })
}

/// Version 3: a new token for the identity; a bare token is looked at, unless it is wanted for another scope.
async fn version_3(
    client: &Client,
    settings: &Settings,
    url: &str,
    credentials: &KeystoneCredentials,
) -> Result<Token, Fault> {
    let make = || client.post(url).json(&keystone::request(credentials));
    let response = match (&credentials.identity, &credentials.scope) {
        (Identity::Token(token), scope) => {
            let value = secret(token, url)?;
            let look = client.get(url).header(AUTH_TOKEN, value.clone()).header(SUBJECT_TOKEN, value);
            let answer = match scope {
                None => wire::exchange(look, settings).await,
                Some(_) => match wire::exchange(make(), settings).await {
                    // A Keystone may forbid to make tokens from tokens; then this one must be for the right scope.
                    Err(Fault::Status { status: StatusCode::FORBIDDEN, .. }) => wire::exchange(look, settings).await,
                    other => other,
                },
            };
            answer.map_err(|fault| match fault {
                // So Keystone calls a token that it does not know, or that has expired.
                Fault::Status { status: StatusCode::NOT_FOUND, reason, retry_after } => {
                    Fault::Status { status: StatusCode::UNAUTHORIZED, reason, retry_after }
                }
                other => other,
            })?
        }
        _ => wire::exchange(make(), settings).await?,
    };
    let value = token_value(response.headers(), SUBJECT_TOKEN, url)?;
    let now = wire::date(response.headers());
    let body = wire::body(response, LARGEST_ANSWER, settings.stall_timeout).await?;
    let answer: keystone::Answer = serde_json::from_slice(&body).map_err(|error| nonsense(url, &error.to_string()))?;
    let expires_at = answer.token.expires_at;
    // By Keystone's own clock, so that ours may be wrong.
    let lifetime = now.map(|now| (expires_at - now).to_std().unwrap_or_default());
    Ok(Token {
        value,
        storage_url: answer.token.endpoint(credentials).map_err(Fault::Final)?,
        expires: lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime)),
        expires_at: Some(expires_at),
    })
}

fn token_value(headers: &HeaderMap, name: HeaderName, url: &str) -> Result<HeaderValue, Fault> {
    let mut value = headers.get(&name).cloned().ok_or_else(|| nonsense(url, &format!("there is no {name}")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A secret as a header, which logs will not show.
fn secret(value: &str, url: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        Fault::Final(Error::Settings {
            message: format!(
                "cannot authenticate at {}: the key or token holds characters that no header can carry",
                without_userinfo(url)
            ),
            hint: "look for a line break or a control character in it".to_owned(),
        })
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn nonsense(url: &str, reason: &str) -> Fault {
    Fault::Final(Error::Protocol {
        operation: format!("authenticate at {}", without_userinfo(url)),
        reason: reason.to_owned(),
    })
}
