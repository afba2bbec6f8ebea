//! The same environment, given to the `openstack` command and to us, leads to the same endpoint of a real Keystone.

use std::io::Write;
use std::process::{Command, Stdio};

use store::{Store, Swift};

use super::*;

/// Clouds in `~/.config/openstack/clouds.yaml`; `$…` stands for what the services are called today.
const CLOUDS: &str = "
clouds:
  password:
    auth: {auth_url: $URL, username: $USER, password: $PASSWORD, project_name: $PROJECT, user_domain_name: $DOMAIN,
      project_domain_name: $DOMAIN}
    region_name: $REGION
  no_secret:
    auth: {auth_url: $URL, username: $USER, project_name: $PROJECT, user-domain-name: $DOMAIN, project-domain-id: default}
  credential:
    auth_type: v3applicationcredential
    auth: {auth_url: $URL, application_credential_id: $CREDENTIAL_ID, application_credential_secret: $CREDENTIAL_SECRET}
    interface: internal
    region_name: $REGION
  regions:
    auth: {auth_url: $URL, username: $USER, password: $PASSWORD, project_id: $PROJECT_ID, user_domain_id: default}
    regions: [$OTHER_REGION, $REGION]
  overridden:
    auth: {auth_url: $URL, username: $USER, password: $PASSWORD, project_name: $PROJECT, user_domain_name: $DOMAIN,
      project_domain_name: $DOMAIN}
    object_store_endpoint_override: http://localhost:1/v1/AUTH_elsewhere
  wrong_project:
    auth: {auth_url: $URL, username: $USER, password: wrong, project_name: $PROJECT, user_domain_name: $DOMAIN,
      project_domain_name: $DOMAIN}
    region_name: $REGION
";

const SECURE: &str = "
clouds:
  no_secret: {auth: {password: $PASSWORD}, region_name: $OTHER_REGION}
";

const LOCAL: &str = "
clouds:
  here:
    auth: {auth_url: $URL, user_id: $USER_ID, password: $PASSWORD, project_id: $PROJECT_ID}
    region_name: $REGION
";

/// What is set, and the host that the endpoint must have, which tells region and interface.
const ROWS: &str = "
$PASSWORD_OF_USER OS_REGION_NAME=$REGION                                              | 127.0.0.1
$PASSWORD_OF_USER OS_REGION_NAME=$OTHER_REGION                                        | localhost
$PASSWORD_OF_USER OS_REGION_NAME=$REGION OS_INTERFACE=internal                        | localhost
$PASSWORD_OF_USER OS_REGION_NAME=$REGION OS_INTERFACE=internalURL                     | localhost
$PASSWORD_OF_USER OS_REGION_NAME=$REGION OS_AUTH_TYPE=v3password                      | 127.0.0.1
OS_AUTH_URL=$URL OS_USER_ID=$USER_ID OS_PASSWORD=$PASSWORD OS_PROJECT_ID=$PROJECT_ID OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$BARE_URL OS_USER_ID=$USER_ID OS_PASSWORD=$PASSWORD OS_PROJECT_ID=$PROJECT_ID OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$URL OS_USER_ID=$USER_ID OS_PASSWORD=$PASSWORD OS_TENANT_ID=$PROJECT_ID OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$URL OS_USERNAME=$USER OS_PASSWORD=$PASSWORD OS_TENANT_NAME=$PROJECT OS_DEFAULT_DOMAIN=default OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$URL OS_USERNAME=$USER OS_PASSWORD=$PASSWORD OS_PROJECT_NAME=$PROJECT OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$URL OS_USERNAME=$USER OS_PASSWORD=$PASSWORD OS_PROJECT_NAME=$PROJECT OS_DOMAIN_NAME=$DOMAIN OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_URL=$URL OS_USERNAME=$USER OS_PASSWORD=$OTHER_PASSWORD OS_USER_DOMAIN_NAME=$OTHER_DOMAIN OS_PROJECT_NAME=$PROJECT OS_PROJECT_DOMAIN_ID=default OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_TYPE=v3token OS_AUTH_URL=$URL OS_TOKEN=$TOKEN OS_PROJECT_ID=$PROJECT_ID OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_TYPE=token OS_AUTH_URL=$URL OS_TOKEN=$TOKEN OS_PROJECT_NAME=$PROJECT OS_PROJECT_DOMAIN_NAME=$DOMAIN OS_REGION_NAME=$OTHER_REGION | localhost
OS_AUTH_TYPE=v3applicationcredential OS_AUTH_URL=$URL OS_APPLICATION_CREDENTIAL_ID=$CREDENTIAL_ID OS_APPLICATION_CREDENTIAL_SECRET=$CREDENTIAL_SECRET OS_REGION_NAME=$REGION | 127.0.0.1
OS_AUTH_TYPE=v3applicationcredential OS_AUTH_URL=$URL OS_APPLICATION_CREDENTIAL_NAME=$CREDENTIAL_NAME OS_USERNAME=$USER OS_USER_DOMAIN_NAME=$DOMAIN OS_APPLICATION_CREDENTIAL_SECRET=$CREDENTIAL_SECRET OS_REGION_NAME=$REGION | 127.0.0.1
OS_CLOUD=password                                                                     | 127.0.0.1
OS_CLOUD=password OS_INTERFACE=internal                                               | localhost
OS_CLOUD=password OS_PROJECT_NAME=admin OS_PROJECT_DOMAIN_NAME=nowhere                | 127.0.0.1
OS_CLOUD=no_secret                                                                    | localhost
OS_CLOUD=credential                                                                   | localhost
OS_CLOUD=regions                                                                      | localhost
OS_CLOUD=regions OS_REGION_NAME=$REGION                                               | 127.0.0.1
OS_CLOUD=overridden                                                                   | localhost
OS_CLOUD=wrong_project OS_PASSWORD=$PASSWORD                                          | 127.0.0.1
OS_CLOUD=here                                                                         | 127.0.0.1
OS_CLOUD=here OS_CLIENT_CONFIG_FILE=$LOCAL                                            | 127.0.0.1
";

/// Replaces `$NAME` by what it stands for; the longest names first, since some begin like others.
fn fill(text: &str, names: &[(&str, &str)]) -> String {
    let mut names = names.to_vec();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// A token, as somebody else would have obtained it. The command does not try again when a busy Keystone drops a
/// connection, so that is done here.
fn token(environment: &[(&str, String)]) -> String {
    let issue = || {
        let mut command = Command::new("/usr/bin/openstack");
        command.args(["token", "issue", "-f", "value", "-c", "id"]).env_clear();
        command.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap()
    };
    let output = (0..5).map(|_| issue()).find(|output| output.status.success()).expect("a token");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn their_endpoints(rows: &[(Environment, &Path)]) -> Vec<String> {
    let rows: Vec<_> = rows
        .iter()
        .map(|(environment, directory)| serde_json::json!({ "environment": environment.0, "directory": directory }))
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/openstack/their_endpoints.py");
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(serde_json::to_string(&rows).unwrap().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the openstack command is needed: install python3-openstackclient");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Their endpoint, told as a store tells its location.
fn location(endpoint: &str) -> String {
    match url::Url::parse(endpoint) {
        Ok(url) => format!(
            "swift:{} at {}",
            url.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or_default(),
            url.origin().ascii_serialization()
        ),
        Err(_) => endpoint.to_owned(),
    }
}

#[tokio::test]
async fn the_same_environment_leads_to_the_endpoint_that_the_openstack_command_uses() {
    let keystone = test_support::keystone();
    let folder = test_support::temp_dir();
    let (home, work) = (folder.path().join("home"), folder.path().join("work"));
    let local = work.join("clouds.yaml");
    let token = token(&keystone.environment());
    let of_user = "OS_AUTH_URL=$URL OS_USERNAME=$USER OS_PASSWORD=$PASSWORD OS_PROJECT_NAME=$PROJECT \
                   OS_USER_DOMAIN_NAME=$DOMAIN OS_PROJECT_DOMAIN_NAME=$DOMAIN";
    let names = [
        ("URL", keystone.url.as_str()),
        ("BARE_URL", keystone.url.trim_end_matches("/v3")),
        ("USER", &keystone.user),
        ("USER_ID", &keystone.user_id),
        ("PASSWORD", &keystone.password),
        ("PROJECT", &keystone.project),
        ("PROJECT_ID", &keystone.project_id),
        ("DOMAIN", &keystone.domain),
        ("OTHER_DOMAIN", &keystone.other_domain),
        ("OTHER_PASSWORD", &keystone.other_domain_password),
        ("REGION", &keystone.region),
        ("OTHER_REGION", &keystone.other_region),
        ("CREDENTIAL_ID", &keystone.application_credential_id),
        ("CREDENTIAL_NAME", &keystone.application_credential_name),
        ("CREDENTIAL_SECRET", &keystone.application_credential_secret),
        ("TOKEN", &token),
        ("LOCAL", local.to_str().unwrap()),
    ];
    std::fs::create_dir_all(home.join(".config/openstack")).unwrap();
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(home.join(".config/openstack/clouds.yaml"), fill(CLOUDS, &names)).unwrap();
    std::fs::write(home.join(".config/openstack/secure.yaml"), fill(SECURE, &names)).unwrap();
    std::fs::write(&local, fill(LOCAL, &names)).unwrap();

    let mut titles = Vec::new();
    let mut rows = Vec::new();
    for row in ROWS.lines().filter(|row| !row.is_empty()) {
        let (text, host) = row.split_once('|').unwrap();
        let text = fill(&text.replace("$PASSWORD_OF_USER", of_user), &names);
        let variables = text.split_whitespace().map(|variable| variable.split_once('=').unwrap());
        let environment = variables.chain([("HOME", home.to_str().unwrap())]).collect();
        // The file in the working directory hides the one in the home.
        let directory = if row.starts_with("OS_CLOUD=here  ") { work.as_path() } else { home.as_path() };
        titles.push((row, host.trim()));
        rows.push((environment, directory));
    }
    let theirs = their_endpoints(&rows);
    assert_eq!(theirs.len(), rows.len());
    let mut faults = Vec::new();
    for (((row, host), (environment, directory)), theirs) in titles.iter().zip(&rows).zip(&theirs) {
        let ours = match account(environment, directory) {
            Ok(account) => {
                let settings = store::swift::Settings::new(account.credentials);
                Swift::connect(settings).await.map_or_else(|error| error.to_string(), |swift| swift.location())
            }
            Err(failure) => failure.message,
        };
        if ours != location(theirs) || !ours.contains(&format!("http://{host}:")) {
            faults.push(format!("{row}\n  theirs: {theirs}\n  ours: {ours}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_openstacks_tools_leave_open_has_one_meaning() {
    let folder = test_support::temp_dir();
    std::fs::write(
        folder.path().join("clouds.yaml"),
        "clouds: {only: {auth: {auth_url: 'http://k/v3', application_credential_id: i, application_credential_secret: s}, \
         region_name: one}}",
    )
    .unwrap();
    let table = [
        // A token needs no OS_AUTH_TYPE, nor does an application credential.
        ("OS_AUTH_URL=http://k/v3 OS_TOKEN=t OS_PROJECT_ID=p", "Token"),
        ("OS_AUTH_URL=http://k OS_APPLICATION_CREDENTIAL_ID=i OS_APPLICATION_CREDENTIAL_SECRET=s", "Id(\"i\")"),
        // A domain that nobody names is the default one.
        ("OS_AUTH_URL=http://k OS_USERNAME=u OS_PASSWORD=p OS_PROJECT_NAME=p", "Id(\"default\")"),
        // The only cloud of a file needs no OS_CLOUD.
        ("A=b", "ApplicationCredential"),
        // The environment may ask for a region that the cloud does not name.
        ("OS_REGION_NAME=two", "region: Some(\"two\")"),
        (
            "OS_AUTH_URL=http://k OS_USER_ID=u OS_PASSWORD=p OS_PROJECT_ID=p OS_STORAGE_URL=http://s/v1/AUTH_x",
            "http://s/v1/AUTH_x",
        ),
        (
            "OS_AUTH_URL=http://k OS_USER_ID=u OS_PASSWORD=p OS_PROJECT_ID=p OS_ENDPOINT_TYPE=adminURL",
            "interface: \"admin\"",
        ),
        ("ST_AUTH=http://s/auth/v1.0 ST_USER=a:u ST_KEY=k", "Version1"),
        ("OS_AUTH_TYPE=v1password OS_AUTH_URL=http://s/auth/v1.0 OS_USERNAME=a:u OS_PASSWORD=k", "Version1"),
    ];
    for (text, expected) in table {
        let environment = text.split(' ').map(|variable| variable.split_once('=').unwrap()).collect();
        let shown = format!("{:?}", account(&environment, folder.path()).unwrap().credentials);
        assert!(shown.contains(expected), "{text}: {shown}");
    }
}

#[test]
fn what_is_missing_or_contradicts_itself_is_named() {
    let folder = test_support::temp_dir();
    std::fs::write(folder.path().join("clouds.yaml"), "clouds: {a: {auth: {auth_url: 'http://k'}}, b: {}}").unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "clouds: {a: {auth: {password: swordfish}").unwrap();
    let broken = format!("OS_CLOUD=a OS_CLIENT_CONFIG_FILE={}", folder.path().join("broken.yaml").display());
    let table = [
        ("A=b", "several clouds and none is chosen", "set OS_CLOUD to one of a, b"),
        ("OS_CLOUD=c", "there is no cloud c in", "set OS_CLOUD to one of a, b"),
        ("OS_CLOUD=a", "the username of the cloud a in", "set OS_USERNAME, or username in clouds.yaml"),
        ("OS_CLOUD=b", "the auth_url of the cloud b in", "set OS_AUTH_URL"),
        ("OS_AUTH_URL=http://k OS_USER_ID=u", "the password is missing", "set OS_PASSWORD"),
        (
            "OS_AUTH_URL=http://k OS_AUTH_TYPE=v3oidcpassword",
            "\"v3oidcpassword\" is not spoken here",
            "set OS_AUTH_TYPE",
        ),
        ("OS_AUTH_URL=http://k ST_AUTH=http://s", "both ST_AUTH and OS_AUTH_URL are set", "unset the ST_* variables"),
        ("ST_AUTH=http://s ST_USER=u", "ST_KEY is not set", "needs ST_AUTH"),
        (
            "OS_AUTH_URL=http://k OS_USER_ID=u OS_PASSWORD=p OS_PROJECT_ID=p OS_SYSTEM_SCOPE=all",
            "both a project and the system",
            "unset OS_SYSTEM_SCOPE",
        ),
        (broken.as_str(), "broken.yaml: ", "it must be YAML"),
    ];
    for (text, message, hint) in table {
        let environment = text.split(' ').map(|variable| variable.split_once('=').unwrap()).collect();
        let failure = account(&environment, folder.path()).unwrap_err();
        assert!(failure.message.contains(message), "{text}: {}", failure.message);
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{text}: {:?}", failure.hint);
        assert!(!failure.message.contains("swordfish"), "{text}: {}", failure.message);
    }
}

#[test]
fn a_proxy_is_taken_from_the_environment_but_for_its_exceptions() {
    let environment: Environment =
        [("https_proxy", "http://proxy:3128"), ("no_proxy", "localhost, .example.org,10.0.0.1")].into_iter().collect();
    let table = [
        ("https://keystone.example.com/v3", true),
        ("http://keystone.example.com/v3", false),
        ("https://keystone.example.org/v3", false),
        ("https://notexample.org/v3", true),
        ("https://localhost:5000", false),
        ("https://10.0.0.1:5000", false),
    ];
    for (address, expected) in table {
        assert_eq!(proxy(&environment, address).is_some(), expected, "{address}");
    }
}
