//! The metastore of a stored night.

use archive::BackupManifest;
use bytes::Bytes;
use influx::metastore::{Data, Framed};
use sha2::{Digest, Sha256};
use store::{Store, StoreExt};

use crate::{Error, Kind};

/// Reads the metastore of a night, and compares it with the manifest.
///
/// # Errors
///
/// [`Kind::Damage`] when it is not there, or not what was stored.
pub(crate) async fn stored(store: &dyn Store, manifest: &BackupManifest) -> Result<Data, Error> {
    let object = manifest.metastore().ok_or_else(|| damaged(&manifest.container, "its manifest names no metastore"))?;
    let instead = |bytes: u64| damaged(&object.name, &format!("it has {bytes} bytes instead of {}", object.bytes));
    let bytes: Bytes = match store.get_bytes(&manifest.container, &object.name, object.bytes).await {
        Err(store::Error::NotFound { .. }) => return Err(damaged(&object.name, "it does not exist")),
        Err(store::Error::TooLarge { bytes, .. }) => return Err(instead(bytes)),
        other => other?,
    };
    if bytes.len() as u64 != object.bytes {
        return Err(instead(bytes.len() as u64));
    }
    if hex::encode(Sha256::digest(&bytes)) != object.sha256 {
        return Err(damaged(&object.name, "its SHA-256 is not that of the manifest"));
    }
    let framed = Framed::decode(bytes).map_err(|fault| damaged(&object.name, &fault.to_string()))?;
    Ok(framed.data)
}

fn damaged(object: &str, reason: &str) -> Error {
    Error::new(Kind::Damage, format!("{object} is damaged: {reason}")).hint("another night may be whole")
}
