//! Labels: names of backups besides their date.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// What a label may be long, in bytes; one of two letters would be taken for part of a date.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=25;

/// A name given to a backup besides its date, such as `before-upgrade`: its container is `2016-06-11_before-upgrade`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The label's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Label, Error> {
        let refuse = |reason: &str| {
            Err(Error::Usage {
                message: format!("the label {text:?} {reason}"),
                hint: "use 3 to 25 letters, digits, dots, hyphens and underscores, such as before-upgrade".to_owned(),
            })
        };
        if !LENGTH.contains(&text.len()) {
            return refuse("is too short or too long");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            return refuse("has characters that not every tool takes in a name");
        }
        if text.starts_with("..") {
            return refuse("begins with two dots");
        }
        if text == "segments" {
            return refuse("is what other programs call the container of a container's segments");
        }
        Ok(Label(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
