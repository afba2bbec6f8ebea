//! When and how a night was verified: a record beside the seal, and the slices of which a long verification is made.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifest::Writer;
use crate::{Document, Error};

/// The most slices of which a verification may be made: one a day for a year.
const MOST_SLICES: u64 = 366;

/// What is known of a night's verifications. Unlike the seal it is replaced by each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRecord {
    /// `nightshard-verify/1`.
    pub format: String,
    /// SHA-256 of the seal of the night that was verified; `null` where there are dumps without a backup.
    pub manifest_sha256: Option<String>,
    /// The last one of each extent, and of each slice since then; the latest comes last.
    pub verifications: Vec<Verification>,
}

impl Document for VerifyRecord {
    const WHAT: &'static str = "verification";
    const FORMAT: &'static str = "nightshard-verify/1";
}

/// One verification of a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// `quick`, `digests`, `deep` or `decode`.
    pub extent: String,
    /// The part of the night that was looked at; `null` for all of it.
    pub slice: Option<Slice>,
    /// The program that did it.
    pub writer: Writer,
    /// The host that it ran on.
    pub host: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is damaged.
    pub damages: Vec<Damage>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
}

/// Something that is not as the seal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The object's name.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl VerifyRecord {
    /// The record of a night with one more verification. What `earlier` tells of another seal is forgotten, and so is what
    /// the new one has done again.
    #[must_use]
    pub fn with(
        earlier: Option<VerifyRecord>,
        manifest_sha256: Option<String>,
        verification: Verification,
    ) -> VerifyRecord {
        let earlier = earlier.filter(|earlier| earlier.manifest_sha256 == manifest_sha256);
        let mut verifications = earlier.map(|earlier| earlier.verifications).unwrap_or_default();
        verifications.retain(|old| !verification.supersedes(old));
        verifications.push(verification);
        VerifyRecord { format: VerifyRecord::FORMAT.to_owned(), manifest_sha256, verifications }
    }
}

impl Verification {
    /// Whether it has done again what the older one has done: all of it supersedes every slice, and a slice that slice,
    /// and those of other sizes, which do not add up with it.
    fn supersedes(&self, older: &Verification) -> bool {
        let same_part = match (self.slice, older.slice) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(new), Some(old)) => new.of != old.of || new.number == old.number,
        };
        self.extent == older.extent && same_part
    }
}

/// How large a part of the nights is verified each day, such as `1/7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    of: u64,
}

impl Sample {
    /// The slice whose turn it is on a day: in as many days in a row as there are slices, each comes once.
    #[must_use]
    pub fn slice(self, day: NaiveDate) -> Slice {
        let number = i64::from(day.num_days_from_ce()).rem_euclid(i64::try_from(self.of).unwrap_or(i64::MAX));
        Slice { of: self.of, number: number.unsigned_abs() }
    }
}

impl FromStr for Sample {
    type Err = Error;

    fn from_str(text: &str) -> Result<Sample, Error> {
        let of = text.strip_prefix("1/").filter(|of| of.bytes().all(|digit| digit.is_ascii_digit()));
        match of.and_then(|of| of.parse().ok()) {
            Some(of @ 1..=MOST_SLICES) => Ok(Sample { of }),
            _ => Err(Error::Usage {
                message: format!("{text:?} is no part of the whole"),
                hint: format!("give 1/7 to be through with everything in seven days, and 1/{MOST_SLICES} at most"),
            }),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1/{}", self.of)
    }
}

/// A part of the objects of a night, chosen by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// How many slices there are.
    pub of: u64,
    /// Which one this is, from 0.
    pub number: u64,
}

impl Slice {
    /// Whether the object of this name belongs to the slice; each belongs to one. Names begin with their night, so that
    /// what changes little from night to night is in another slice of each.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        number.checked_rem(self.of) == Some(self.number)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice {} of {}", self.number + 1, self.of)
    }
}
