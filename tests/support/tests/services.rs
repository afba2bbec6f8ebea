//! Swift and Keystone answer, and their users may do what their names say.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use test_support::{keystone, random_name, tempauth};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Makes and removes a container, and returns both statuses.
async fn try_container(account: &str, token: &str) -> (u16, u16) {
    let url = format!("{account}/{}", random_name("support"));
    let made = client().put(&url).header("X-Auth-Token", token).send().await.unwrap().status();
    let gone = client().delete(&url).header("X-Auth-Token", token).send().await.unwrap().status();
    (made.as_u16(), gone.as_u16())
}

#[tokio::test]
async fn the_owner_may_write_and_the_reader_may_not() {
    let swift = tempauth();
    for (user, key, expected) in [(&swift.user, &swift.key, (201, 204)), (&swift.reader, &swift.reader_key, (403, 403))]
    {
        let request = client().get(&swift.url).header("X-Auth-User", user).header("X-Auth-Key", key);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(try_container(&header("X-Storage-Url"), &header("X-Auth-Token")).await, expected, "{user}");
    }
}

#[tokio::test]
async fn an_application_credential_opens_every_public_and_internal_endpoint() {
    let cloud = keystone();
    let body = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": cloud.application_credential_id, "secret": cloud.application_credential_secret},
    }}});
    let answer = client().post(format!("{}/auth/tokens", cloud.url)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let token = answer.headers()["X-Subject-Token"].to_str().unwrap().to_owned();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let catalog = answer["token"]["catalog"].as_array().unwrap();
    let store = catalog.iter().find(|service| service["type"] == "object-store").unwrap();
    let mut seen = Vec::new();
    for endpoint in store["endpoints"].as_array().unwrap() {
        let text = |name: &str| endpoint[name].as_str().unwrap();
        if text("interface") != "admin" {
            assert_eq!(try_container(text("url"), &token).await, (201, 204), "{endpoint}");
        }
        seen.push(format!("{} {} {}", text("region"), text("interface"), text("url").contains("127.0.0.1")));
    }
    seen.sort();
    let expected = [
        "RegionOne admin true",
        "RegionOne internal false",
        "RegionOne public true",
        "RegionTwo internal true",
        "RegionTwo public false",
    ];
    assert_eq!(seen, expected);
}
