//! What a job says while it runs.

/// Something that happened, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step of the job begins.
    Step(&'a str),
    /// So many objects, with so many bytes as far as is known, are to be worked on.
    Planned {
        /// Objects.
        objects: u64,
        /// Bytes, estimated.
        bytes: u64,
    },
    /// An object is done.
    Done {
        /// Its name.
        name: &'a str,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The job waits, and for what.
    Waiting(&'a str),
    /// Something that a person should know, though the job goes on.
    Warning(&'a str),
}

/// Listens to a job.
pub trait Progress: Send + Sync + 'static {
    /// Something happened.
    fn report(&self, event: Event<'_>);
}

/// Listens to nothing.
impl Progress for () {
    fn report(&self, _: Event<'_>) {}
}
