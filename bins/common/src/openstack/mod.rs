//! Which Swift, and as whom: from the environment and `clouds.yaml`, as OpenStack's own tools read them.
//!
//! What `openstack` and `swift` understand is understood in the same way. Where they give up we go on if there is
//! only one thing that can be meant: the kind of authentication follows from what is given, a domain that nobody
//! names is `default`, and a `clouds.yaml` with one cloud needs no `OS_CLOUD`.

mod clouds;

use std::path::{Path, PathBuf};

use store::swift::{ApplicationCredential, Credentials, Identity, KeystoneCredentials, Named, Scope};

use crate::environment::Environment;
use crate::exit::Failure;
use crate::layers::{Origin, Setting};
use clouds::Cloud;

/// An account of a Swift, and how to reach it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) credentials: Credentials,
    pub(crate) ca_certificate: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) proxy: Option<String>,
    /// What was found, and where.
    pub(crate) found: Vec<Setting>,
}

/// One thing that the environment and the files may say.
struct Key {
    /// Its name in `clouds.yaml`, then older ones.
    names: &'static [&'static str],
    /// Its variables, the first that is set counts.
    variables: &'static [&'static str],
    secret: bool,
    /// Whether what the file says beats the environment. For most it is the other way around; the exceptions are
    /// those of the openstack command.
    file_wins: bool,
}

const fn key(names: &'static [&'static str], variables: &'static [&'static str]) -> Key {
    Key { names, variables, secret: false, file_wins: false }
}

const fn secret(names: &'static [&'static str], variables: &'static [&'static str]) -> Key {
    Key { names, variables, secret: true, file_wins: false }
}

const fn file_first(names: &'static [&'static str], variables: &'static [&'static str]) -> Key {
    Key { names, variables, secret: false, file_wins: true }
}

const AUTH_TYPE: Key = key(&["auth_type", "auth_plugin"], &["OS_AUTH_TYPE"]);
const AUTH_URL: Key = key(&["auth_url"], &["OS_AUTH_URL"]);
const USER_ID: Key = key(&["user_id"], &["OS_USER_ID"]);
const USERNAME: Key = key(&["username", "user_name"], &["OS_USERNAME"]);
const PASSWORD: Key = secret(&["password"], &["OS_PASSWORD"]);
const TOKEN: Key =
    Key { names: &["token", "auth_token"], variables: &["OS_TOKEN", "OS_AUTH_TOKEN"], secret: true, file_wins: true };
const CREDENTIAL_ID: Key = key(&["application_credential_id"], &["OS_APPLICATION_CREDENTIAL_ID"]);
const CREDENTIAL_NAME: Key = key(&["application_credential_name"], &["OS_APPLICATION_CREDENTIAL_NAME"]);
const CREDENTIAL_SECRET: Key = secret(&["application_credential_secret"], &["OS_APPLICATION_CREDENTIAL_SECRET"]);
const PROJECT_ID: Key = file_first(&["project_id", "tenant_id"], &["OS_PROJECT_ID", "OS_TENANT_ID"]);
const PROJECT_NAME: Key = file_first(&["project_name", "tenant_name"], &["OS_PROJECT_NAME", "OS_TENANT_NAME"]);
const USER_DOMAIN_ID: Key = file_first(&["user_domain_id"], &["OS_USER_DOMAIN_ID"]);
const USER_DOMAIN_NAME: Key = file_first(&["user_domain_name"], &["OS_USER_DOMAIN_NAME"]);
const PROJECT_DOMAIN_ID: Key = file_first(&["project_domain_id"], &["OS_PROJECT_DOMAIN_ID"]);
const PROJECT_DOMAIN_NAME: Key = file_first(&["project_domain_name"], &["OS_PROJECT_DOMAIN_NAME"]);
const DOMAIN_ID: Key = file_first(&["domain_id"], &["OS_DOMAIN_ID"]);
const DOMAIN_NAME: Key = file_first(&["domain_name"], &["OS_DOMAIN_NAME"]);
const DEFAULT_DOMAIN: Key = key(&["default_domain"], &["OS_DEFAULT_DOMAIN"]);
const SYSTEM_SCOPE: Key = key(&["system_scope"], &["OS_SYSTEM_SCOPE"]);
const REGION: Key = key(&["region_name"], &["OS_REGION_NAME"]);
const INTERFACE: Key = key(&["interface", "endpoint_type"], &["OS_INTERFACE", "OS_ENDPOINT_TYPE"]);
const ENDPOINT: Key =
    key(&["object_store_endpoint_override"], &["OS_STORAGE_URL", "OS_OBJECT_STORE_ENDPOINT_OVERRIDE"]);
const CA_CERTIFICATE: Key = key(&["cacert"], &["OS_CACERT"]);
const INSECURE: Key = key(&["insecure"], &["OS_INSECURE"]);
const VERIFY: Key = key(&["verify"], &[]);

/// Finds the account. `directory` is the working directory, where a `clouds.yaml` may lie.
///
/// # Errors
///
/// When nothing is given, or what is given makes no account.
pub(crate) fn account(environment: &Environment, directory: &Path) -> Result<Account, Failure> {
    let openstack = environment.first(&["OS_CLOUD", "OS_AUTH_URL"]);
    if let Some((variable, _)) = environment.first(&["ST_AUTH", "ST_USER", "ST_KEY"]) {
        return match openstack {
            None => version1(environment),
            Some((other, _)) => Err(Failure::usage(
                format!("both {variable} and {other} are set, so it is not clear which Swift is meant"),
                "unset the ST_* variables, or the OS_* ones",
            )),
        };
    }
    // Files count where a cloud is named, or nothing else is said.
    let cloud = match environment.get("OS_CLOUD") {
        None if openstack.is_some() => None,
        name => clouds::find(name, environment, directory)?,
    };
    if cloud.is_none() && openstack.is_none() {
        return Err(Failure::usage(
            "the archive is swift:, but nothing says which one and as whom",
            "set OS_CLOUD (a cloud of clouds.yaml), or OS_AUTH_URL and the other OS_* variables, or ST_AUTH, ST_USER \
             and ST_KEY",
        ));
    }
    Sources { environment, cloud, found: Vec::new() }.account()
}

/// Swift's own authentication.
fn version1(environment: &Environment) -> Result<Account, Failure> {
    let mut found = Vec::new();
    let mut get = |variable: &str, secret: bool| match environment.get(variable) {
        Some(value) => {
            found.push(shown(variable, value, secret, Origin::Environment(variable.to_owned())));
            Ok(value.to_owned())
        }
        None => Err(Failure::usage(
            format!("{variable} is not set"),
            "Swift's own authentication needs ST_AUTH (an address), ST_USER and ST_KEY",
        )),
    };
    let credentials = Credentials::Version1 {
        auth_url: get("ST_AUTH", false)?,
        user: get("ST_USER", false)?,
        key: get("ST_KEY", true)?,
    };
    Ok(Account {
        credentials,
        ca_certificate: environment.get("OS_CACERT").map(|path| environment.expand_home(path)),
        insecure: environment.is_true("OS_INSECURE") || environment.is_true("SWIFTCLIENT_INSECURE"),
        proxy: proxy(environment, environment.get("ST_AUTH").unwrap_or_default()),
        found,
    })
}

/// The environment and a cloud, and what was taken from them.
struct Sources<'a> {
    environment: &'a Environment,
    cloud: Option<Cloud>,
    found: Vec<Setting>,
}

impl Sources<'_> {
    /// What is said about a key, noted for `--print-config`.
    fn get(&mut self, key: &Key) -> Option<String> {
        let cloud = self.cloud.as_ref();
        let from_file = cloud.and_then(|cloud| Some((key.names.iter().find_map(|name| cloud.get(name))?, cloud)));
        let from_environment = self.environment.first(key.variables);
        let (value, origin) = match (from_file, from_environment) {
            (Some((value, cloud)), None) => (value, Origin::File(cloud.path.clone())),
            (Some((value, cloud)), Some(_)) if key.file_wins => (value, Origin::File(cloud.path.clone())),
            (_, Some((variable, value))) => (value.to_owned(), Origin::Environment(variable.to_owned())),
            (None, None) => return None,
        };
        let name = key.names[0];
        if !self.found.iter().any(|setting| setting.key == name) {
            self.found.push(shown(name, &value, key.secret, origin));
        }
        Some(value)
    }

    fn account(mut self) -> Result<Account, Failure> {
        if let Some(cloud) = &self.cloud {
            self.found.push(shown("cloud", &cloud.name, false, Origin::File(cloud.path.clone())));
        }
        let auth_url = self.need(&AUTH_URL)?;
        let proxy = proxy(self.environment, &auth_url);
        let is_true = |value: Option<String>| {
            value.is_some_and(|value| ["true", "1", "yes"].contains(&value.to_lowercase().as_str()))
        };
        let insecure = is_true(self.get(&INSECURE)) || self.get(&VERIFY).is_some_and(|verify| verify == "false");
        let ca_certificate = self.get(&CA_CERTIFICATE).map(|path| self.environment.expand_home(&path));
        let credentials = self.credentials(auth_url)?;
        Ok(Account { credentials, ca_certificate, insecure, proxy, found: self.found })
    }

    fn credentials(&mut self, auth_url: String) -> Result<Credentials, Failure> {
        let identity = match self.get(&AUTH_TYPE).as_deref() {
            Some("v1password") => {
                return Ok(Credentials::Version1 { auth_url, user: self.need(&USERNAME)?, key: self.need(&PASSWORD)? });
            }
            Some("v3applicationcredential") => self.application_credential()?,
            Some("v3token") => self.token()?,
            Some("token") => self.token()?,
            Some("v3password") => self.password()?,
            // The tools' default, which may as well mean that nobody thought about it.
            Some("password") | None => {
                if self.get(&PASSWORD).is_some() {
                    self.password()?
                } else if self.get(&CREDENTIAL_SECRET).is_some() {
                    self.application_credential()?
                } else if self.get(&TOKEN).is_some() {
                    self.token()?
                } else {
                    self.password()?
                }
            }
            Some(other) => {
                return Err(Failure::usage(
                    format!("the kind of authentication {other:?} is not spoken here"),
                    "set OS_AUTH_TYPE (auth_type) to password, token, v3applicationcredential or v1password",
                ));
            }
        };
        let scope = match identity {
            Identity::ApplicationCredential { .. } => None,
            _ => self.scope()?,
        };
        let interface = self.get(&INTERFACE).unwrap_or_else(|| "public".to_owned());
        Ok(Credentials::Keystone(Box::new(KeystoneCredentials {
            auth_url,
            identity,
            scope,
            service_type: "object-store".to_owned(),
            // The older spelling is publicURL, internalURL, adminURL.
            interface: interface.trim_end_matches("URL").to_owned(),
            region: self.get(&REGION),
            endpoint: self.get(&ENDPOINT),
        })))
    }

    fn password(&mut self) -> Result<Identity, Failure> {
        Ok(Identity::Password { user: self.user()?, password: self.need(&PASSWORD)? })
    }

    fn token(&mut self) -> Result<Identity, Failure> {
        self.need(&TOKEN).map(Identity::Token)
    }

    fn application_credential(&mut self) -> Result<Identity, Failure> {
        let credential = match (self.get(&CREDENTIAL_ID), self.get(&CREDENTIAL_NAME)) {
            (Some(id), _) => ApplicationCredential::Id(id),
            (None, Some(name)) => ApplicationCredential::Name { name, user: self.user()? },
            (None, None) => ApplicationCredential::Id(self.need(&CREDENTIAL_ID)?),
        };
        Ok(Identity::ApplicationCredential { credential, secret: self.need(&CREDENTIAL_SECRET)? })
    }

    fn user(&mut self) -> Result<Named, Failure> {
        match self.get(&USER_ID) {
            Some(id) => Ok(Named::Id(id)),
            None => {
                let name = self.need(&USERNAME)?;
                Ok(Named::Name { name, domain: Some(Box::new(self.domain_of(&USER_DOMAIN_ID, &USER_DOMAIN_NAME))) })
            }
        }
    }

    fn scope(&mut self) -> Result<Option<Scope>, Failure> {
        let project = match (self.get(&PROJECT_ID), self.get(&PROJECT_NAME)) {
            (Some(id), _) => Some(Named::Id(id)),
            (None, Some(name)) => {
                let domain = Some(Box::new(self.domain_of(&PROJECT_DOMAIN_ID, &PROJECT_DOMAIN_NAME)));
                Some(Named::Name { name, domain })
            }
            (None, None) => None,
        };
        match (project, self.get(&SYSTEM_SCOPE)) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "both a project and the system are asked for",
                "unset OS_SYSTEM_SCOPE: an archive lies in a project",
            )),
            (Some(project), None) => Ok(Some(Scope::Project(project))),
            (None, Some(_)) => Ok(Some(Scope::System)),
            (None, None) => Ok(self.domain(&DOMAIN_ID, &DOMAIN_NAME).map(Scope::Domain)),
        }
    }

    /// The domain of a user or project: its own, else the one that is named for both, else the default.
    fn domain_of(&mut self, id: &Key, name: &Key) -> Named {
        self.domain(id, name)
            .or_else(|| self.domain(&DOMAIN_ID, &DOMAIN_NAME))
            .unwrap_or_else(|| Named::Id(self.get(&DEFAULT_DOMAIN).unwrap_or_else(|| "default".to_owned())))
    }

    fn domain(&mut self, id: &Key, name: &Key) -> Option<Named> {
        let by_name = |name| Named::Name { name, domain: None };
        self.get(id).map(Named::Id).or_else(|| self.get(name).map(by_name))
    }

    fn need(&mut self, key: &Key) -> Result<String, Failure> {
        let place = match &self.cloud {
            Some(cloud) => format!(" of the cloud {} in {}", cloud.name, cloud.path.display()),
            None => String::new(),
        };
        self.get(key).ok_or_else(|| {
            Failure::usage(
                format!("the {}{place} is missing", key.names[0]),
                format!("set {}, or {} in clouds.yaml or secure.yaml", key.variables[0], key.names[0]),
            )
        })
    }
}

fn shown(key: &str, value: &str, secret: bool, origin: Origin) -> Setting {
    Setting { key: key.to_owned(), shared: true, repeatable: false, secret, values: vec![value.to_owned()], origin }
}

/// The proxy for an address, as `http_proxy`, `https_proxy` and `no_proxy` have it for most programs.
fn proxy(environment: &Environment, address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let host = url.host_str()?;
    // HTTP_PROXY in capitals may be a header of a request to a CGI program, so nobody reads that one.
    let names: &[&str] = match url.scheme() {
        "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let (_, proxy) = environment.first(names)?;
    let (_, exceptions) = environment.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let direct =
        exceptions.split(',').map(|name| name.trim().trim_start_matches("*.").trim_start_matches('.')).any(|name| {
            name == "*"
                || (!name.is_empty()
                    && (host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))))
        });
    (!direct).then(|| proxy.to_owned())
}

#[cfg(test)]
mod tests;
