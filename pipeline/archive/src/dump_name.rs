//! How dumps are named: a pattern for whose dump it is, and after it the window and the kind of file.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use crate::names::encode;
use crate::{Error, Window};

/// A file name may have 255 bytes; window, format and compression need some of them.
const LONGEST: usize = 180;

/// How the names of dumps begin: text in which `{database}`, `{retention_policy}` and `{measurement}` stand for those of
/// the dump. Window and extension follow in any case, so that no two days share a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpName {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Database,
    RetentionPolicy,
    Measurement,
}

/// What is dumped.
#[derive(Debug, Clone, Copy)]
pub struct DumpOf<'a> {
    /// The database.
    pub database: &'a str,
    /// The retention policy.
    pub retention_policy: &'a str,
    /// The measurement.
    pub measurement: &'a str,
}

impl Default for DumpName {
    fn default() -> DumpName {
        DumpName { text: "{measurement}".to_owned(), parts: vec![Part::Measurement] }
    }
}

impl DumpName {
    /// The file name of a dump: `<pattern>_<start>_<end>.<extension>`, with local times.
    #[must_use]
    pub fn file(&self, of: DumpOf<'_>, window: Window, time_zone: Tz, extension: &str) -> String {
        let local = |instant: DateTime<Utc>| instant.with_timezone(&time_zone).format("%Y-%m-%d-%H:%M:%S").to_string();
        format!("{}_{}_{}.{extension}", self.stem(of), local(window.start), local(window.end))
    }

    /// What stands before the window: names percent-encoded where need be, and the end cut with a digest in its place
    /// when it is too long for a file system.
    #[must_use]
    pub fn stem(&self, of: DumpOf<'_>) -> String {
        let mut stem = String::new();
        let mut names = Vec::new();
        for part in &self.parts {
            let name = match part {
                Part::Text(text) => {
                    stem.push_str(text);
                    continue;
                }
                Part::Database => of.database,
                Part::RetentionPolicy => of.retention_policy,
                Part::Measurement => of.measurement,
            };
            stem.push_str(&encode(name));
            names.push(name);
        }
        // A name of dots alone, or one that begins with a dot, would be special or hidden in a folder.
        if stem.starts_with('.') {
            stem.replace_range(..1, "%2E");
        }
        if stem.len() > LONGEST {
            let mut end = LONGEST - 17;
            while !stem.is_char_boundary(end) {
                end -= 1;
            }
            stem.truncate(end);
            stem.push('~');
            // No name holds the byte between them.
            stem.extend(hex::encode(Sha256::digest(names.join("\0"))).chars().take(16));
        }
        stem
    }
}

impl FromStr for DumpName {
    type Err = Error;

    fn from_str(text: &str) -> Result<DumpName, Error> {
        let refuse = |reason: &str| Error::Usage {
            message: format!("the name pattern {text:?} {reason}"),
            hint: "use text with {database}, {retention_policy} and {measurement}, such as \
                   \"{database}.{measurement}\"; the day and the extension follow by themselves"
                .to_owned(),
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let (name, after) = rest[start + 1..].split_once('}').ok_or_else(|| refuse("has a { without its }"))?;
            parts.push(match name {
                "database" => Part::Database,
                "retention_policy" => Part::RetentionPolicy,
                "measurement" => Part::Measurement,
                _ => return Err(refuse(&format!("has {{{name}}}, which does not stand for anything"))),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err(refuse("is empty"));
        }
        for part in &parts {
            let Part::Text(literal) = part else { continue };
            if literal.contains('}') {
                return Err(refuse("has a } without its {"));
            }
            if encode(literal) != *literal {
                return Err(refuse("has characters that no file name should have"));
            }
            if literal.len() > LONGEST / 2 {
                return Err(refuse("is too long"));
            }
        }
        if text.starts_with('.') {
            return Err(refuse("begins with a dot, which would hide the files"));
        }
        Ok(DumpName { text: text.to_owned(), parts })
    }
}

impl fmt::Display for DumpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
