//! How a dump is written: its records, and the file around them.

use std::fmt;

use crate::{Error, Kind};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pages: each line an array of records.
    Json,
    /// Each line a record.
    Ndjson,
    /// RFC 4180, with a header of `time` and then all tags and fields that occur, in byte order.
    Csv,
}

/// How the file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A format and a compression: what the end of a dump's name and its seal say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) format: Format,
    pub(super) compression: Option<Compression>,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        })
    }
}

impl Encoding {
    /// What a seal says.
    pub(super) fn read(format: &str, compression: Option<&str>) -> Result<Encoding, Error> {
        let unknown = |what: &str| {
            Error::new(Kind::Usage, format!("the dump is written as {what}, which this version does not know"))
                .hint("install the version of Nightshard that wrote it, or a newer one")
        };
        let formats = [Format::Json, Format::Ndjson, Format::Csv];
        let found = formats.into_iter().find(|known| known.to_string() == format).ok_or_else(|| unknown(format))?;
        let compressions = [Compression::Gzip, Compression::Zstd];
        let compression = compression
            .map(|name| compressions.into_iter().find(|known| known.to_string() == name).ok_or_else(|| unknown(name)))
            .transpose()?;
        Ok(Encoding { format: found, compression })
    }

    /// The end of the file's name.
    pub(super) fn extension(self) -> String {
        let suffix = match self.compression {
            None => "",
            Some(Compression::Gzip) => ".gz",
            Some(Compression::Zstd) => ".zst",
        };
        format!("{}{suffix}", self.format)
    }

    /// Whether the records of the pipeline are those of the file as they are.
    pub(super) fn is_plain(self) -> bool {
        self.format != Format::Csv && self.compression.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_seal_says_is_read_back() {
        for format in [Format::Json, Format::Ndjson, Format::Csv] {
            for compression in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
                let name = compression.map(|compression| compression.to_string());
                let encoding = Encoding { format, compression };
                assert_eq!(Encoding::read(&format.to_string(), name.as_deref()).unwrap(), encoding);
            }
        }
        assert!(Encoding::read("parquet", None).unwrap_err().to_string().contains("parquet"));
        assert!(Encoding::read("json", Some("xz")).unwrap_err().to_string().contains("xz"));
    }
}
