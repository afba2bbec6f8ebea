//! One header block: ustar fields, base-256 numbers, PAX records.

use super::BLOCK;

/// The fields of a header block that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) size: u64,
    /// Seconds since 1970; `None` where it cannot be read, for nothing else depends on it.
    pub(super) modified: Option<u64>,
    pub(super) kind: u8,
}

impl Header {
    /// Reads a block; the error says what is wrong with it.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
        let stored = number(field(block, 148, 8)).ok_or("its checksum is no number")?;
        if stored != checksum(block) {
            return Err("its checksum is wrong");
        }
        let size = number(field(block, 124, 12)).ok_or("its size is no number")?;
        let mut name = text(field(block, 0, 100));
        // The prefix field exists in ustar only; GNU tar keeps times there.
        if field(block, 257, 6) == b"ustar\0" {
            let prefix = text(field(block, 345, 155));
            if !prefix.is_empty() {
                name = format!("{prefix}/{name}");
            }
        }
        let kind = field(block, 156, 1).first().copied().unwrap_or_default();
        let modified = number(field(block, 136, 12));
        Ok(Header { name, size, modified, kind })
    }
}

fn field(block: &[u8; BLOCK], start: usize, length: usize) -> &[u8] {
    block.get(start..start.saturating_add(length)).unwrap_or_default()
}

/// Bytes up to the first null byte. Names that are no UTF-8 come in a PAX record as well, which is used instead.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// An octal number ended by a space or null byte, or a base-256 number (first bit set).
fn number(bytes: &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    if first & 0x80 != 0 {
        let mut value = u64::from(first & 0x7f);
        for byte in bytes.iter().skip(1) {
            value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
        }
        return Some(value);
    }
    let digits = std::str::from_utf8(bytes).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// The sum of all bytes, the checksum's own counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let mut sum = 0u64;
    for (position, byte) in block.iter().enumerate() {
        sum = sum.saturating_add(if (148..156).contains(&position) { 32 } else { u64::from(*byte) });
    }
    sum
}

/// What a PAX header says of the entry behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
}

impl Pax {
    /// Records of the form `<length> <key>=<value>\n`, where the length counts the whole record (POSIX pax).
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Pax, &'static str> {
        const BROKEN: &str = "its PAX records are broken";
        let mut pax = Pax::default();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ').ok_or(BROKEN)?;
            let digits = std::str::from_utf8(bytes.get(..space).ok_or(BROKEN)?).map_err(|_| BROKEN)?;
            let length: usize = digits.parse().map_err(|_| BROKEN)?;
            let record = bytes.get(space.saturating_add(1)..length).ok_or(BROKEN)?;
            let record = record.strip_suffix(b"\n").ok_or(BROKEN)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(BROKEN)?;
            let (key, value) = record.split_at_checked(equals).ok_or(BROKEN)?;
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            match key {
                b"path" => pax.path = Some(value),
                b"size" => pax.size = Some(value.parse().map_err(|_| BROKEN)?),
                _ => {}
            }
            bytes = bytes.get(length..).ok_or(BROKEN)?;
        }
        Ok(pax)
    }
}
