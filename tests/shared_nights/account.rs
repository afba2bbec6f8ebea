//! A Swift account as any client sees it: single requests, and their answers as they come.

use std::process::Command;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use test_support::{Tempauth, tempauth};

use crate::night::{Place, run};

/// Somebody who is logged in.
pub(crate) struct Account {
    pub(crate) client: reqwest::Client,
    /// The account, without a slash at its end.
    pub(crate) url: String,
    pub(crate) token: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.headers[name].to_str().unwrap().parse().unwrap()
    }
}

impl Account {
    /// The owner of the account of the built-in users.
    pub(crate) async fn of_tempauth() -> Account {
        let Tempauth { url, user, key, .. } = tempauth();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("X-Auth-User", user).header("X-Auth-Key", key).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (url, token) = (header("X-Storage-Url"), header("X-Auth-Token"));
        Account { client, url, token }
    }

    /// One request; `path` is `container`, `container/object` or nothing, with a query perhaps.
    pub(crate) async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request =
            self.client.request(method, format!("{}/{path}", self.url)).header("X-Auth-Token", &self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.header("Content-Length", body.len()).body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.unwrap() }
    }

    /// A request without a body, of which the status is told.
    pub(crate) async fn status(&self, method: Method, path: &str) -> u16 {
        self.call(method, path, &[], Bytes::new()).await.status.as_u16()
    }

    /// A night's seal.
    pub(crate) async fn seal(&self, night: &str) -> Value {
        let answer = self.call(Method::GET, &format!("{night}/{night}/manifests/backup.json"), &[], Bytes::new()).await;
        assert_eq!(answer.status, 200, "{night}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Bytes that a container holds as Swift counts them: what is kept of deleted objects is in it, a link is nothing, and a
    /// large object is as much as its manifest.
    pub(crate) async fn bytes_in(&self, container: &str) -> u64 {
        let answer = self.call(Method::HEAD, container, &[], Bytes::new()).await;
        assert_eq!(answer.status, 204, "{container}");
        answer.number("X-Container-Bytes-Used")
    }
}

/// `swift` with the archive's credentials.
pub(crate) async fn swift(place: &Place, arguments: &[&str]) -> String {
    let mut command: Command = place.command("swift");
    command.args(arguments);
    let output = run(command).await;
    assert!(output.status.success(), "swift {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
