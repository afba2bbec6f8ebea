//! What a store may be able to do besides: let several objects share their bytes, and keep what is deleted.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, ObjectInfo, Store};

/// A [`Store`] in which bytes that several objects have need to be stored once ([`Store::sharing`]).
#[async_trait]
pub trait Sharing: Store {
    /// How an object may be composed of others; `None` where objects can be shared as wholes only.
    fn composition(&self) -> Option<Composition>;

    /// Makes a container that keeps what is deleted in it until it is [destroyed](Sharing::destroy), where the store can do
    /// that. One that exists already is success.
    async fn create_keeping_container(&self, container: &str) -> Result<(), Error>;

    /// Stores an object that consists of these pieces, in their order, and proves it as [`Store::put`] does. A piece that
    /// does not exist, or is not as it is described, is [`Error::Mismatch`] or [`Error::Refused`], and nothing is stored.
    async fn compose(&self, container: &str, name: &str, pieces: &[Piece]) -> Result<ObjectInfo, Error>;

    /// Lets `name` stand for the whole object `target`, in the place of what stood there. Deleting one of the two leaves
    /// the bytes to the other one where the store can do that (a folder), or else deleting the link leaves the target (a
    /// Swift). A target that does not exist, or has another [tag](ObjectInfo::link_tag), is [`Error::Conflict`] or
    /// [`Error::NotFound`]; [`Error::Unsupported`] where just these two cannot share.
    async fn link(&self, container: &str, name: &str, target: &Target) -> Result<ObjectInfo, Error>;

    /// Removes the object for good, and whatever is kept of it from earlier deletions. One that does not exist is success.
    async fn destroy(&self, container: &str, name: &str) -> Result<(), Error>;

    /// Brings back what was deleted or replaced under this name: the youngest that is kept and has this
    /// [tag](ObjectInfo::link_tag), where one is named. Whether anything was brought back; what stands there as it should is
    /// left alone.
    async fn undelete(&self, container: &str, name: &str, tag: Option<&str>) -> Result<bool, Error>;
}

/// The bounds within which an object may be composed of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composition {
    /// The most pieces, inline ones among them.
    pub pieces: usize,
    /// The most bytes that may be given inline.
    pub inline_bytes: u64,
    /// The smallest piece that is worth an object of its own, in bytes: smaller ones are read slowly.
    pub smallest: u64,
    /// The largest piece, in bytes.
    pub largest: u64,
}

/// A piece of a composed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that no other object has.
    Inline(Bytes),
    /// A whole object.
    Object {
        /// Its container.
        container: String,
        /// Its name.
        name: String,
        /// Its length in bytes.
        bytes: u64,
        /// Its ETag.
        etag: String,
    },
}

impl Piece {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Piece::Inline(bytes) => bytes.len() as u64,
            Piece::Object { bytes, .. } => *bytes,
        }
    }
}

/// What a link is to lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Container of the object.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Its [tag](ObjectInfo::link_tag), in stores that have such.
    pub tag: Option<String>,
}
