//! Listings of containers and of objects, one page a call.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Swift;
use crate::{ContainerEntry, Error, ObjectEntry};

#[derive(Deserialize)]
struct ContainerRow {
    name: String,
}

#[derive(Deserialize)]
struct ObjectRow {
    name: String,
    bytes: u64,
    hash: Option<String>,
    /// Of a link that names what it leads to.
    symlink_bytes: Option<u64>,
    symlink_etag: Option<String>,
}

impl Swift {
    pub(super) async fn containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        match self.page::<ContainerRow>(None, prefix, after).await {
            Ok(rows) => Ok(rows.into_iter().map(|row| ContainerEntry { name: row.name }).collect()),
            // An account comes into being with its first container.
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn objects(
        &self,
        container: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ObjectEntry>, Error> {
        let rows = self.page::<ObjectRow>(Some(container), prefix, after).await?;
        Ok(rows
            .into_iter()
            .map(|row| ObjectEntry {
                name: row.name,
                bytes: row.symlink_bytes.unwrap_or(row.bytes),
                etag: row.symlink_etag.or(row.hash),
            })
            .collect())
    }

    /// One page of a container, or of the account.
    async fn page<Row: DeserializeOwned>(
        &self,
        container: Option<&str>,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<Row>, Error> {
        let limit = self.settings().listing_limit.min(self.0.limits.listing).to_string();
        let (verb, object) = match container {
            Some(container) => ("list container", container.to_owned()),
            None => ("list the containers of", self.0.location.clone()),
        };
        let mut query = vec![("format", "json"), ("limit", &limit)];
        if !prefix.is_empty() {
            query.push(("prefix", prefix));
        }
        query.extend(after.map(|after| ("marker", after)));
        let mut tries = self.tries(verb, object.clone());
        let body = self
            .exchange_all(&mut tries, |token| {
                let request = match container {
                    Some(container) => self.request(Method::GET, token, container, None),
                    None => token.sign(self.0.client.get(&token.storage_url)),
                };
                request.query(&query)
            })
            .await?;
        if body.is_empty() {
            // 204: some versions answer so for an empty container.
            return Ok(Vec::new());
        }
        serde_json::from_slice(&body).map_err(|error| Error::Protocol {
            operation: format!("{verb} {object}"),
            reason: format!("it is no listing in JSON: {error}"),
        })
    }
}
