//! What can be wrong with a night or its records.

/// An error of the archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A document does not exist, so the night, dump or record that it stands for does not exist either.
    #[error("there is no {what} in {container}")]
    Missing {
        /// Such as `backup`.
        what: &'static str,
        /// The night's container.
        container: String,
    },
    /// A newer Nightshard wrote this.
    #[error("{name} has the format {found:?}, and this version reads {expected:?}")]
    NewerFormat {
        /// Name of the object.
        name: String,
        /// Its format.
        found: String,
        /// Ours.
        expected: &'static str,
    },
    /// A document that cannot be read.
    #[error("{name} cannot be read: {reason}")]
    Unreadable {
        /// Name of the object.
        name: String,
        /// Why.
        reason: String,
    },
    /// A manifest that belongs to another night.
    #[error("{name} is the manifest of {found}, not of {expected}")]
    Misplaced {
        /// Name of the object.
        name: String,
        /// The container that it names.
        found: String,
        /// The container that it lies in.
        expected: String,
    },
    /// A document is listed, and cannot be found.
    #[error("{name} is listed, and cannot be found")]
    Doubtful {
        /// Name of the object.
        name: String,
    },
    /// A document does not read back as it was written.
    #[error("{name} does not read back as it was written")]
    Changed {
        /// Name of the object.
        name: String,
    },
    /// A date, pattern or other setting that makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Error {
    /// Whether the same call may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Doubtful { .. }) || matches!(self, Error::Store(error) if error.is_passing())
    }

    /// What a person can do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Usage { hint, .. } => Some(hint.clone()),
            Error::NewerFormat { .. } => {
                Some("install the version of Nightshard that wrote it, or a newer one".to_owned())
            }
            Error::Misplaced { .. } => {
                Some("it was copied there by hand, or changed; look for the night elsewhere".to_owned())
            }
            Error::Unreadable { .. } => {
                Some("it was changed by hand or damaged; another night may be whole".to_owned())
            }
            Error::Missing { .. } => {
                Some("`swift list`, or the folder of the archive, shows which nights there are".to_owned())
            }
            Error::Doubtful { .. } => Some(
                "it was deleted a moment ago, or the store has lost sight of it; run the same command again later"
                    .to_owned(),
            ),
            Error::Changed { .. } => Some("something else writes there; run the same command again".to_owned()),
        }
    }
}
