//! Keystone, Identity API version 3: what is asked, and what the answer means.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::settings::{ApplicationCredential, Identity, KeystoneCredentials, Named, Scope};
use crate::Error;

/// Where tokens are made and looked at: below `/v3`, whether the configured address says so or not.
pub(super) fn tokens_url(auth_url: &str) -> String {
    let base = auth_url.trim_end_matches('/');
    let base = base.strip_suffix("/auth/tokens").unwrap_or(base);
    let base = base.strip_suffix("/v2.0").unwrap_or(base);
    let version = if base.ends_with("/v3") { "" } else { "/v3" };
    format!("{base}{version}/auth/tokens")
}

/// The body of `POST /v3/auth/tokens`.
pub(super) fn request(credentials: &KeystoneCredentials) -> Value {
    let (method, proof) = match &credentials.identity {
        Identity::Password { user, password } => ("password", json!({"user": with(user, "password", password)})),
        Identity::Token(token) => ("token", json!({"id": token})),
        Identity::ApplicationCredential { credential: ApplicationCredential::Id(id), secret } => {
            ("application_credential", json!({"id": id, "secret": secret}))
        }
        Identity::ApplicationCredential { credential: ApplicationCredential::Name { name, user }, secret } => {
            ("application_credential", json!({"name": name, "user": named(user), "secret": secret}))
        }
    };
    let mut auth = json!({"identity": {"methods": [method], method: proof}});
    // An application credential carries its scope; Keystone refuses a second one.
    if !matches!(credentials.identity, Identity::ApplicationCredential { .. })
        && let Some(scope) = &credentials.scope
    {
        auth["scope"] = match scope {
            Scope::Project(project) => json!({"project": named(project)}),
            Scope::Domain(domain) => json!({"domain": named(domain)}),
            Scope::System => json!({"system": {"all": true}}),
        };
    }
    json!({"auth": auth})
}

fn named(what: &Named) -> Value {
    match what {
        Named::Id(id) => json!({"id": id}),
        Named::Name { name, domain: None } => json!({"name": name}),
        Named::Name { name, domain: Some(domain) } => json!({"name": name, "domain": named(domain)}),
    }
}

fn with(what: &Named, key: &str, value: &str) -> Value {
    let mut fields = named(what);
    fields[key] = json!(value);
    fields
}

/// The body of the answer, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) token: TokenFields,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenFields {
    pub(super) expires_at: DateTime<Utc>,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

impl TokenFields {
    /// The address of the object store: the configured one, else the catalogue's.
    pub(super) fn endpoint(&self, credentials: &KeystoneCredentials) -> Result<String, Error> {
        if let Some(endpoint) = &credentials.endpoint {
            return Ok(endpoint.trim_end_matches('/').to_owned());
        }
        let kind = &credentials.service_type;
        // "publicURL" is how version 2 called it, and how some configurations still do.
        let interface = credentials.interface.trim_end_matches("URL");
        let of_kind =
            || self.catalog.iter().filter(|service| service.kind == *kind).flat_map(|service| &service.endpoints);
        let found = of_kind().find(|endpoint| {
            let in_region = |region: &String| {
                [&endpoint.region, &endpoint.region_id].into_iter().flatten().any(|known| known == region)
            };
            endpoint.interface == interface && credentials.region.as_ref().is_none_or(in_region)
        });
        if let Some(endpoint) = found {
            return Ok(endpoint.url.trim_end_matches('/').to_owned());
        }
        if self.catalog.is_empty() {
            return Err(Error::Settings {
                message: "the token comes without a catalogue of services: it is for no project".to_owned(),
                hint: "set the project (OS_PROJECT_NAME with its domain, or OS_PROJECT_ID), or the address of the object store".to_owned(),
            });
        }
        let region = credentials.region.as_ref().map(|region| format!(" in region {region}")).unwrap_or_default();
        let known: Vec<String> = of_kind()
            .map(|endpoint| {
                let region = endpoint.region_id.as_ref().or(endpoint.region.as_ref());
                format!("{} in {}", endpoint.interface, region.map_or("no region", String::as_str))
            })
            .collect();
        let known = if known.is_empty() { format!("no {kind} at all") } else { known.join(", ") };
        Err(Error::Settings {
            message: format!("the catalogue has no {kind} with interface {interface}{region}; it has {known}"),
            hint: "check OS_REGION_NAME and OS_INTERFACE against `openstack catalog list`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(identity: Identity) -> KeystoneCredentials {
        KeystoneCredentials {
            auth_url: "http://k:5000".to_owned(),
            identity,
            scope: None,
            service_type: "object-store".to_owned(),
            interface: "public".to_owned(),
            region: None,
            endpoint: None,
        }
    }

    fn name(name: &str, domain: &str) -> Named {
        Named::Name { name: name.to_owned(), domain: Some(Box::new(Named::Id(domain.to_owned()))) }
    }

    #[test]
    fn tokens_are_asked_for_below_version_3() {
        for given in ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/", "http://k:5000/v2.0/"]
        {
            assert_eq!(tokens_url(given), "http://k:5000/v3/auth/tokens");
        }
        assert_eq!(tokens_url("https://h/identity/v3"), "https://h/identity/v3/auth/tokens");
    }

    #[test]
    fn each_identity_has_its_request() {
        let mut password =
            credentials(Identity::Password { user: name("backup", "default"), password: "p".to_owned() });
        password.scope = Some(Scope::Project(name("monitoring", "default")));
        assert_eq!(
            request(&password),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user":
                    {"name": "backup", "domain": {"id": "default"}, "password": "p"}}},
                "scope": {"project": {"name": "monitoring", "domain": {"id": "default"}}},
            }})
        );
        let mut token = credentials(Identity::Token("t".to_owned()));
        token.scope = Some(Scope::System);
        assert_eq!(
            request(&token),
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}}, "scope": {"system": {"all": true}}}})
        );
        let mut by_id = credentials(Identity::ApplicationCredential {
            credential: ApplicationCredential::Id("i".to_owned()),
            secret: "s".to_owned(),
        });
        by_id.scope = Some(Scope::Project(Named::Id("ignored".to_owned())));
        assert_eq!(
            request(&by_id),
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"id": "i", "secret": "s"}}}})
        );
        let by_name = credentials(Identity::ApplicationCredential {
            credential: ApplicationCredential::Name { name: "n".to_owned(), user: name("backup", "default") },
            secret: "s".to_owned(),
        });
        assert_eq!(
            request(&by_name),
            json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential":
                {"name": "n", "user": {"name": "backup", "domain": {"id": "default"}}, "secret": "s"}}}})
        );
    }

    #[test]
    fn the_endpoint_is_found_by_type_interface_and_region() {
        let answer: Answer = serde_json::from_value(json!({"token": {
            "expires_at": "2016-06-11T01:00:00.000000Z",
            "catalog": [
                {"type": "identity", "endpoints": [{"interface": "public", "region_id": "one", "url": "http://k"}]},
                {"type": "object-store", "endpoints": [
                    {"interface": "internal", "region": "one", "region_id": "one", "url": "http://internal-one/v1/A/"},
                    {"interface": "public", "region_id": "one", "url": "http://one/v1/A"},
                    {"interface": "public", "region_id": "two", "url": "http://two/v1/A"}]},
            ],
        }}))
        .unwrap();
        let find = |interface: &str, region: Option<&str>| {
            let mut credentials = credentials(Identity::Token("t".to_owned()));
            credentials.interface = interface.to_owned();
            credentials.region = region.map(str::to_owned);
            answer.token.endpoint(&credentials).map_err(|error| error.to_string())
        };
        assert_eq!(find("public", None).unwrap(), "http://one/v1/A");
        assert_eq!(find("publicURL", Some("two")).unwrap(), "http://two/v1/A");
        assert_eq!(find("internal", Some("one")).unwrap(), "http://internal-one/v1/A");
        assert_eq!(
            find("admin", Some("two")).unwrap_err(),
            "the catalogue has no object-store with interface admin in region two; \
             it has internal in one, public in one, public in two"
        );
        let mut overridden = credentials(Identity::Token("t".to_owned()));
        overridden.endpoint = Some("http://elsewhere/v1/B/".to_owned());
        assert_eq!(answer.token.endpoint(&overridden).unwrap(), "http://elsewhere/v1/B");
    }
}
