//! The frame around the metastore in the snapshot service's answer, which is also the file `meta.NN` of a backup.
//!
//! Magic and lengths are big-endian 64-bit numbers: magic, length, the message, length, what is known of the node (JSON).

use bytes::{Buf as _, Bytes};
use prost::Message as _;

use super::Data;

const MAGIC: u64 = 0x5959_0101;

/// What an open-source server says of its node.
const NO_NODE: &[u8] = b"null\n";

/// A metastore as the server sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct Framed {
    /// All bytes, exactly as `influxd backup` writes them to `meta.00`.
    pub raw: Bytes,
    /// The message within.
    pub data: Data,
}

/// What is wrong with the bytes of a metastore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There are fewer bytes than announced.
    #[error("the metastore ends after {actual} bytes instead of {expected}")]
    Truncated {
        /// Bytes that there should be, as far as known.
        expected: u64,
        /// Bytes that there are.
        actual: u64,
    },
    /// There are more bytes than announced.
    #[error("{0} bytes follow the end of the metastore")]
    Trailing(usize),
    /// Something else begins here.
    #[error("the metastore begins with {0:#018x}")]
    Magic(u64),
    /// The message is none.
    #[error("the metastore's message cannot be read: {0}")]
    Message(prost::DecodeError),
}

impl Fault {
    /// Whether more bytes would have helped.
    #[must_use]
    pub fn is_truncation(&self) -> bool {
        matches!(self, Fault::Truncated { .. })
    }
}

impl Framed {
    /// Reads a framed metastore.
    ///
    /// # Errors
    ///
    /// The [`Fault`], if it is not exactly one metastore.
    pub fn decode(raw: Bytes) -> Result<Framed, Fault> {
        let mut rest = raw.clone();
        let magic = number(&mut rest, &raw)?;
        if magic != MAGIC {
            return Err(Fault::Magic(magic));
        }
        let message = section(&mut rest, &raw)?;
        section(&mut rest, &raw)?;
        if rest.has_remaining() {
            return Err(Fault::Trailing(rest.len()));
        }
        let data = Data::decode(message).map_err(Fault::Message)?;
        Ok(Framed { raw, data })
    }
}

/// Users' hashes are no matter for logs.
impl std::fmt::Debug for Framed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framed").field("bytes", &self.raw.len()).finish_non_exhaustive()
    }
}

/// Frames a metastore as the server does.
#[must_use]
pub fn frame(data: &Data) -> Bytes {
    let message = data.encode_to_vec();
    let mut framed = Vec::with_capacity(message.len() + NO_NODE.len() + 24);
    framed.extend(MAGIC.to_be_bytes());
    for section in [message.as_slice(), NO_NODE] {
        framed.extend((section.len() as u64).to_be_bytes());
        framed.extend(section);
    }
    framed.into()
}

fn number(rest: &mut Bytes, raw: &Bytes) -> Result<u64, Fault> {
    take(rest, raw, 8).map(|mut bytes| bytes.get_u64())
}

fn section(rest: &mut Bytes, raw: &Bytes) -> Result<Bytes, Fault> {
    let length = number(rest, raw)?;
    take(rest, raw, length)
}

fn take(rest: &mut Bytes, raw: &Bytes, length: u64) -> Result<Bytes, Fault> {
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
        _ => {
            let actual = raw.len() as u64;
            let expected = (actual - rest.len() as u64).saturating_add(length);
            Err(Fault::Truncated { expected, actual })
        }
    }
}
