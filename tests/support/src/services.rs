//! The Swift and the Keystone of `scripts/services`, which is asked to start them where they are not running.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Swift with its built-in users.
#[derive(Debug, Clone)]
pub struct Tempauth {
    /// Where version 1 of authentication is done (`ST_AUTH`).
    pub url: String,
    /// Who owns the account (`ST_USER`).
    pub user: String,
    /// The owner's key (`ST_KEY`).
    pub key: String,
    /// Someone who may log in but not touch the account's containers.
    pub reader: String,
    /// The reader's key.
    pub reader_key: String,
    /// The proxy server itself, `http://127.0.0.1:PORT`.
    pub proxy: String,
}

impl Tempauth {
    /// The owner's credentials as the programs read them from the environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("ST_AUTH", self.url.clone()), ("ST_USER", self.user.clone()), ("ST_KEY", self.key.clone())]
    }
}

/// Swift with the users and the catalogue of a Keystone.
#[derive(Debug, Clone)]
pub struct Keystone {
    /// The identity service, version 3 (`OS_AUTH_URL`).
    pub url: String,
    /// The user of the backups, by name.
    pub user: String,
    /// The same, by id.
    pub user_id: String,
    /// The user's password.
    pub password: String,
    /// The user's project, by name.
    pub project: String,
    /// The same, by id.
    pub project_id: String,
    /// The domain of user and project, by name.
    pub domain: String,
    /// Another domain, with a user of the same name, a member of the same project.
    pub other_domain: String,
    /// That user's password.
    pub other_domain_password: String,
    /// A user with the same password in `domain`, who may log in but not touch the project's containers.
    pub reader: String,
    /// The region whose public endpoint names `127.0.0.1` and whose internal one names `localhost`.
    pub region: String,
    /// The region where it is the other way round.
    pub other_region: String,
    /// An application credential of the user, by id.
    pub application_credential_id: String,
    /// The same, by name.
    pub application_credential_name: String,
    /// Its secret.
    pub application_credential_secret: String,
    /// The password of user `admin` in project `admin`.
    pub admin_password: String,
    /// The proxy server itself, `http://127.0.0.1:PORT`.
    pub proxy: String,
}

impl Keystone {
    /// User and password as the programs read them from the environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OS_IDENTITY_API_VERSION", "3".to_owned()),
            ("OS_AUTH_URL", self.url.clone()),
            ("OS_USERNAME", self.user.clone()),
            ("OS_PASSWORD", self.password.clone()),
            ("OS_PROJECT_NAME", self.project.clone()),
            ("OS_USER_DOMAIN_NAME", self.domain.clone()),
            ("OS_PROJECT_DOMAIN_NAME", self.domain.clone()),
            ("OS_REGION_NAME", self.region.clone()),
        ]
    }

    /// The application credential as the programs read it from the environment.
    pub fn application_credential_environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OS_IDENTITY_API_VERSION", "3".to_owned()),
            ("OS_AUTH_TYPE", "v3applicationcredential".to_owned()),
            ("OS_AUTH_URL", self.url.clone()),
            ("OS_APPLICATION_CREDENTIAL_ID", self.application_credential_id.clone()),
            ("OS_APPLICATION_CREDENTIAL_SECRET", self.application_credential_secret.clone()),
            ("OS_REGION_NAME", self.region.clone()),
        ]
    }
}

/// The Swift whose users are built in.
///
/// # Panics
///
/// If it is not running and cannot be started.
pub fn tempauth() -> Tempauth {
    let value = |name: &str| variable(&format!("NIGHTSHARD_TEST_TEMPAUTH_{name}"));
    Tempauth {
        url: value("URL"),
        user: value("USER"),
        key: value("KEY"),
        reader: value("READER"),
        reader_key: value("READER_KEY"),
        proxy: value("PROXY"),
    }
}

/// The Swift whose users are Keystone's.
///
/// # Panics
///
/// If it is not running and cannot be started.
pub fn keystone() -> Keystone {
    let value = |name: &str| variable(&format!("NIGHTSHARD_TEST_KEYSTONE_{name}"));
    Keystone {
        url: value("URL"),
        user: value("USER"),
        user_id: value("USER_ID"),
        password: value("PASSWORD"),
        project: value("PROJECT"),
        project_id: value("PROJECT_ID"),
        domain: value("DOMAIN"),
        other_domain: value("OTHER_DOMAIN"),
        other_domain_password: value("OTHER_DOMAIN_PASSWORD"),
        reader: value("READER"),
        region: value("REGION"),
        other_region: value("OTHER_REGION"),
        application_credential_id: value("APPLICATION_CREDENTIAL_ID"),
        application_credential_name: value("APPLICATION_CREDENTIAL_NAME"),
        application_credential_secret: value("APPLICATION_CREDENTIAL_SECRET"),
        admin_password: value("ADMIN_PASSWORD"),
        proxy: value("PROXY"),
    }
}

/// The same with a new project in which the user of the backups is a member: an account in which nobody else stores anything.
///
/// # Panics
///
/// If it is not running and cannot be started.
pub async fn own_project() -> Keystone {
    let keystone = keystone();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let admin = serde_json::json!({"name": "admin", "domain": {"id": "default"}, "password": keystone.admin_password});
    let asked = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": admin}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
    }});
    let answer = client.post(format!("{}/auth/tokens", keystone.url)).json(&asked).send().await.unwrap();
    let token = answer.headers()["X-Subject-Token"].to_str().unwrap().to_owned();
    let call = async |method: reqwest::Method, path: String, body: serde_json::Value| {
        let request = client.request(method, format!("{}/{path}", keystone.url)).header("X-Auth-Token", &token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(serde_json::Value::Null)
    };
    let project = crate::random_name("project");
    let made = serde_json::json!({"project": {"name": project, "domain_id": "default"}});
    let made = call(reqwest::Method::POST, "projects".to_owned(), made).await;
    let roles = call(reqwest::Method::GET, "roles?name=member".to_owned(), serde_json::Value::Null).await;
    let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let (project_id, role) = (id(&made["project"]), id(&roles["roles"][0]));
    let path = format!("projects/{project_id}/users/{}/roles/{role}", keystone.user_id);
    call(reqwest::Method::PUT, path, serde_json::Value::Null).await;
    Keystone { project, project_id, ..keystone }
}

/// The environment wins, so that the tests may run against servers that somebody else has started.
fn variable(name: &str) -> String {
    static STARTED: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    std::env::var(name).unwrap_or_else(|_| {
        let exports = STARTED.get_or_init(start);
        exports.get(name).unwrap_or_else(|| panic!("scripts/services env does not name {name}")).clone()
    })
}

fn start() -> BTreeMap<String, String> {
    run("up");
    let exports = run("env");
    exports
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn run(command: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services");
    let output = Command::new(&script).arg(command).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "scripts/services {command} failed; these tests need a real Swift and Keystone \
         (scripts/services install, as root, installs them):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
