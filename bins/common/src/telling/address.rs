//! Addresses that are told how a run ended, and those that wait for a sign of life.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use tokio::time::sleep;
use url::Url;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before each further try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Posts a JSON document.
pub(super) async fn post(url: &Url, document: Vec<u8>) -> Result<(), String> {
    let request =
        |client: &Client| client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(document.clone());
    send(url, request).await
}

/// Asks for an address, which is all that it waits for.
pub(super) async fn ping(url: &Url) -> Result<(), String> {
    send(url, |client: &Client| client.get(url.clone())).await
}

async fn send(url: &Url, request: impl Fn(&Client) -> RequestBuilder) -> Result<(), String> {
    let user_agent = concat!("nightshard/", env!("CARGO_PKG_VERSION"));
    // Following another address would lose the document, and hand this one to whoever is there.
    let client = Client::builder().user_agent(user_agent).timeout(PATIENCE).redirect(Policy::none()).build();
    let client = client.map_err(|error| format!("cannot prepare for TLS: {}", chain(&error)))?;
    // The rest of an address may be a secret.
    let host = url.host_str().unwrap_or_default();
    let mut pauses = PAUSES.iter();
    loop {
        let answered = request(&client).send().await.and_then(reqwest::Response::error_for_status);
        let error = match answered {
            Ok(answer) if answer.status().is_redirection() => {
                return Err(format!(
                    "{host}: it leads to another address ({}), which is not followed",
                    answer.status()
                ));
            }
            Ok(_) => return Ok(()),
            Err(error) => error.without_url(),
        };
        let final_word = error.status().is_some_and(|status| status.is_client_error());
        match pauses.next().filter(|_| !final_word) {
            Some(pause) => sleep(*pause).await,
            None => return Err(format!("{host}: {}", chain(&error))),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
