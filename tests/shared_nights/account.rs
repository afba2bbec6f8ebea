//! A Swift account as any client sees it: single requests, and their answers as they come.

use std::process::Command;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_support::{Keystone, Tempauth, keystone, random_name, tempauth};

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
        let client = client();
        let answer = client.get(url).header("X-Auth-User", user).header("X-Auth-Key", key).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (url, token) = (header("X-Storage-Url"), header("X-Auth-Token"));
        Account { client, url, token }
    }

    /// A user of Keystone, by name, in the project of the backups.
    pub(crate) async fn of_keystone(user: &str, password: &str) -> Account {
        let Keystone { project, project_id, proxy, .. } = keystone();
        let client = client();
        let token = token(&client, user, password, &project).await;
        Account { client, url: format!("{proxy}/v1/AUTH_{project_id}"), token }
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

/// A connection for each request: Keystone may close one that stands idle, just when the next request is sent.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

async fn token(client: &reqwest::Client, user: &str, password: &str, project: &str) -> String {
    let Keystone { url, domain, .. } = keystone();
    let domain = json!({"name": domain});
    let user = json!({"name": user, "domain": domain, "password": password});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let scope = json!({"project": {"name": project, "domain": domain}});
    let asked =
        client.post(format!("{url}/auth/tokens")).json(&json!({"auth": {"identity": identity, "scope": scope}}));
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 201, "{user}");
    answer.headers()["X-Subject-Token"].to_str().unwrap().to_owned()
}

/// Somebody with the role `reader` in the project of the backups: such a user may log in, and nothing else by itself.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) password: String,
}

impl Guest {
    /// Makes one, as the administrator of Keystone does.
    pub(crate) async fn invite(what: &str) -> Guest {
        let Keystone { url, admin_password, project_id, .. } = keystone();
        let client = client();
        let token = token(&client, "admin", &admin_password, "admin").await;
        let call = async |method: Method, path: String, body: Value| {
            let request = client.request(method, format!("{url}/{path}")).header("X-Auth-Token", &token);
            let request = if body.is_null() { request } else { request.json(&body) };
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {answer:?}");
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null)
        };
        let (name, password) = (random_name(what), random_name("password"));
        let user = json!({"user": {"name": name, "password": password, "domain_id": "default"}});
        let made = call(Method::POST, "users".to_owned(), user).await;
        let roles = call(Method::GET, "roles?name=reader".to_owned(), Value::Null).await;
        let (id, role) = (made["user"]["id"].as_str().unwrap(), roles["roles"][0]["id"].as_str().unwrap());
        let path = format!("projects/{project_id}/users/{id}/roles/{role}");
        call(Method::PUT, path, Value::Null).await;
        Guest { id: id.to_owned(), name, password }
    }

    /// As whom the programs and `swift` are to log in.
    pub(crate) fn environment(&self) -> [(&str, &str); 2] {
        [("OS_USERNAME", &self.name), ("OS_PASSWORD", &self.password)]
    }

    pub(crate) async fn account(&self) -> Account {
        Account::of_keystone(&self.name, &self.password).await
    }

    /// How an access list of a container names this user.
    pub(crate) fn listed(&self) -> String {
        format!("{}:{}", keystone().project_id, self.id)
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
