//! Reasons: why somebody keeps a night, in a line.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// What a reason may be long, in characters: it stands in lists, among others.
const LONGEST: usize = 200;

/// Why a night is kept, such as `before the migration`: one line for whoever meets it in a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The reason's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reason, Error> {
        let refuse = |message: String, hint: &str| Err(Error::Usage { message, hint: hint.to_owned() });
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return refuse("it says nothing".to_owned(), "say why, such as 'before the migration'");
        }
        if length > LONGEST {
            let message = format!("it has {length} characters, and {LONGEST} is the most");
            return refuse(message, "say it in a line, and where the rest can be read");
        }
        if text.chars().any(breaks_a_line) {
            let message = "it has line breaks or other control characters".to_owned();
            return refuse(message, "say it in one line of plain text, such as 'before the migration'");
        }
        Ok(Reason(text.to_owned()))
    }
}

/// What would not stay within the line of a list, or would command the terminal that shows it.
fn breaks_a_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
