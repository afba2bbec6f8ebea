//! JSON documents in the archive: read with their format checked, sealed with proof.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Store, StoreExt};

use crate::Error;

/// The manifest of a night with a million files is about 300 MB; nothing that we wrote is larger.
const LARGEST: u64 = 512 << 20;

/// A kind of document, with a format of its own.
pub trait Document: Serialize + DeserializeOwned {
    /// What it is, for messages.
    const WHAT: &'static str;
    /// Its format, `<name>/<major>`; it stands in the document's member `format`.
    const FORMAT: &'static str;
}

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded<D> {
    /// The document.
    pub document: D,
    /// SHA-256 of its bytes, in hex: the identity of exactly this document.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Reads a document.
///
/// # Errors
///
/// [`Error::Missing`] when it does not exist, [`Error::NewerFormat`] when its major format is not ours.
pub async fn read<D: Document>(store: &dyn Store, container: &str, name: &str) -> Result<Loaded<D>, Error> {
    let bytes = match store.get_bytes(container, name, LARGEST).await {
        Ok(bytes) => bytes,
        Err(store::Error::NotFound { .. }) => {
            return Err(Error::Missing { what: D::WHAT, container: container.to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    let document = parse(name, &bytes)?;
    Ok(Loaded { document, sha256: hex::encode(Sha256::digest(&bytes)), bytes: bytes.len() as u64 })
}

fn parse<D: Document>(name: &str, bytes: &[u8]) -> Result<D, Error> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: String,
    }

    let unreadable = |error: serde_json::Error| Error::Unreadable { name: name.to_owned(), reason: error.to_string() };
    // The format comes first: the rest of a newer document may look like nothing that we know.
    let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format != D::FORMAT {
        return Err(Error::NewerFormat { name: name.to_owned(), found: format, expected: D::FORMAT });
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

/// Writes a document and reads it back; it stands when this returns. Returns the SHA-256 of its bytes in hex.
///
/// # Errors
///
/// [`Error::Changed`] when it reads back otherwise.
pub async fn seal<D: Document>(store: &dyn Store, container: &str, name: &str, document: &D) -> Result<String, Error> {
    let bytes = encode(name, document)?;
    store.put_bytes(container, name, bytes.clone()).await?;
    let back = store.get_bytes(container, name, LARGEST).await?;
    if back != bytes {
        return Err(Error::Changed { name: name.to_owned() });
    }
    Ok(hex::encode(Sha256::digest(&bytes)))
}

/// Writes a small document that may be replaced later, such as a record or a marker.
///
/// # Errors
///
/// When the store fails.
pub async fn replace<D: Document>(store: &dyn Store, container: &str, name: &str, document: &D) -> Result<(), Error> {
    store.put_bytes(container, name, encode(name, document)?).await?;
    Ok(())
}

/// Removes a document; one that does not exist is success. Returns whether it was there.
///
/// # Errors
///
/// When the store fails.
pub async fn remove(store: &dyn Store, container: &str, name: &str) -> Result<bool, Error> {
    match store.delete(container, name).await {
        Ok(()) => Ok(true),
        Err(store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn encode<D: Document>(name: &str, document: &D) -> Result<Bytes, Error> {
    let mut bytes = serde_json::to_vec_pretty(document)
        .map_err(|error| Error::Unreadable { name: name.to_owned(), reason: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes.into())
}
