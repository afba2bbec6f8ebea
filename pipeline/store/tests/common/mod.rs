//! What the tests of this crate share: settings for the real servers, bodies, and an independent witness.

// Each test program uses a part of this; and the lints' exceptions for tests do not reach helper modules.
#![allow(dead_code, clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use store::swift::{Credentials, Identity, KeystoneCredentials, Named, Scope, Settings};
use store::{Error, Store, StoreExt};

/// Bytes that do not repeat within a body, the same for each length.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Version 1, against the proxy with tempauth.
pub(crate) fn version_1() -> Settings {
    let tempauth = test_support::tempauth();
    quick(Settings::new(Credentials::Version1 { auth_url: tempauth.url, user: tempauth.user, key: tempauth.key }))
}

/// Keystone, with user and password.
pub(crate) fn keystone() -> Settings {
    keystone_as(Identity::Password {
        user: in_domain(&test_support::keystone().user),
        password: test_support::keystone().password,
    })
}

/// Keystone, with another proof of identity, for the project of the backups.
pub(crate) fn keystone_as(identity: Identity) -> Settings {
    quick(Settings::new(Credentials::Keystone(Box::new(KeystoneCredentials {
        auth_url: test_support::keystone().url,
        identity,
        scope: Some(Scope::Project(in_domain(&test_support::keystone().project))),
        service_type: "object-store".to_owned(),
        interface: "public".to_owned(),
        region: Some(test_support::keystone().region),
        endpoint: None,
    }))))
}

/// A name within the domain of the backups.
pub(crate) fn in_domain(name: &str) -> Named {
    let domain = Named::Name { name: test_support::keystone().domain, domain: None };
    Named::Name { name: name.to_owned(), domain: Some(Box::new(domain)) }
}

/// Small segments, small pages and short pauses.
pub(crate) fn quick(settings: Settings) -> Settings {
    Settings {
        segment_size: 1 << 20,
        segments_container: test_support::random_name("segments"),
        first_pause: Duration::from_millis(20),
        listing_limit: 7,
        ..settings
    }
}

/// Removes a container with everything in it; one that is not there is fine.
pub(crate) async fn clear(store: &dyn Store, container: &str) {
    let entries = match store.list_all(container, "").await {
        Err(Error::NotFound { .. }) => return,
        other => other.unwrap(),
    };
    for entry in entries {
        store.delete(container, &entry.name).await.unwrap();
    }
    store.delete_container(container).await.unwrap();
}

/// An account of Swift, reached by hand: an independent witness, and a way to do what the store never does.
pub(crate) struct Account {
    client: reqwest::Client,
    storage_url: String,
    pub(crate) token: String,
}

impl Account {
    /// Lets itself in with the user and password of the settings.
    pub(crate) async fn of(settings: &Settings) -> Account {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let header = |response: &reqwest::Response, name: &str| response.headers()[name].to_str().unwrap().to_owned();
        match &settings.credentials {
            Credentials::Version1 { auth_url, user, key } => {
                let request = client.get(auth_url).header("X-Storage-User", user).header("X-Storage-Pass", key);
                let response = request.send().await.unwrap().error_for_status().unwrap();
                let (storage_url, token) = (header(&response, "X-Storage-Url"), header(&response, "X-Auth-Token"));
                Account { client, storage_url, token }
            }
            Credentials::Keystone(_) => {
                let user = serde_json::json!({
                    "id": test_support::keystone().user_id,
                    "password": test_support::keystone().password,
                });
                let project = test_support::keystone().project_id;
                let body = serde_json::json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": {"id": project}},
                }});
                let url = format!("{}/auth/tokens", test_support::keystone().url);
                let response = client.post(url).json(&body).send().await.unwrap().error_for_status().unwrap();
                let token = header(&response, "X-Subject-Token");
                let storage_url = format!("{}/v1/AUTH_{project}", test_support::keystone().proxy);
                Account { client, storage_url, token }
            }
        }
    }

    /// A signed request for something plainly named in the account; success is expected.
    pub(crate) async fn request(
        &self,
        method: reqwest::Method,
        path_and_query: &str,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> reqwest::Response {
        let request = self.client.request(method, format!("{}/{path_and_query}", self.storage_url));
        let response = change(request.header("X-Auth-Token", &self.token)).send().await.unwrap();
        assert!(response.status().is_success(), "{path_and_query}: {}", response.status());
        response
    }

    /// Stores a large object that consists of `paths`, all of them plainly named.
    pub(crate) async fn put_manifest(&self, object: &str, paths: &[String]) {
        let entries: Vec<_> = paths.iter().map(|path| serde_json::json!({"path": path})).collect();
        self.request(reqwest::Method::PUT, &format!("{object}?multipart-manifest=put"), |request| {
            request.json(&entries)
        })
        .await;
    }
}
