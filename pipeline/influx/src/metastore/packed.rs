//! The metastore as portable backups keep it, in the file `<time>.meta`: a message around the message.

use bytes::Bytes;
use prost::Message;

use super::{Data, Fault};

/// The outer message.
#[derive(Clone, PartialEq, Eq, Message)]
struct Outer {
    #[prost(bytes = "bytes", required, tag = "1")]
    data: Bytes,
    /// Of an Enterprise cluster; 0 from the open-source server.
    #[prost(uint64, required, tag = "2")]
    max_node_id: u64,
}

/// A metastore that was read from such a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    /// The message within.
    pub data: Data,
    /// Its length in bytes, which the manifest of the backup states.
    pub bytes: u64,
}

impl Packed {
    /// Reads such a file.
    ///
    /// # Errors
    ///
    /// [`Fault::Message`] if it is none.
    pub fn decode(raw: &[u8]) -> Result<Packed, Fault> {
        let outer = Outer::decode(raw).map_err(Fault::Message)?;
        let bytes = outer.data.len() as u64;
        Ok(Packed { data: Data::decode(outer.data).map_err(Fault::Message)?, bytes })
    }
}

/// Users' hashes are no matter for logs.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
