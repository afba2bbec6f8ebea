//! Keys of a TSM file: a series and one of its fields.
//!
//! The series is escaped as in line protocol, by the client who wrote it; the field's name is not. Neither has to be
//! UTF-8.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::Fault;

/// What stands between the series and the field.
pub const SEPARATOR: &[u8] = b"#!~#";

/// A series, without escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The measurement, as the server shows it.
    pub measurement: Vec<u8>,
    /// Names and values of the tags, in the order of the key.
    pub tags: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The series and the field of a key, which is split at the first [`SEPARATOR`], as the server does it: a field may have
/// the separator in its name. `None` when there is none.
#[must_use]
pub fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    /// Made once, which takes longer than a search.
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(SEPARATOR));
    let at = FINDER.find(key)?;
    let (series, rest) = key.split_at_checked(at)?;
    Some((series, rest.get(SEPARATOR.len()..)?))
}

/// The measurement of a series, as the server shows it: it takes `\"` and `\=` for escapes too, but only here.
#[must_use]
pub fn measurement(series: &[u8]) -> Cow<'_, [u8]> {
    let (name, _) = escaped_measurement(series);
    unescape(name, b", \"=")
}

/// The measurement of a series as it stands there, escapes included, and what follows its comma.
pub(crate) fn escaped_measurement(series: &[u8]) -> (&[u8], Option<&[u8]>) {
    cut(series, b',')
}

/// The parts of a series.
///
/// # Errors
///
/// When it has no measurement, or a tag has no name or no `=`.
pub fn series(series: &[u8]) -> Result<Series, Fault> {
    let (name, mut rest) = escaped_measurement(series);
    if name.is_empty() {
        return Err(Fault("the series has no measurement"));
    }
    let mut tags = Vec::new();
    while let Some(tag) = rest {
        let (name, value) = cut(tag, b'=');
        let value = value.filter(|_| !name.is_empty()).ok_or(Fault("a tag of the series has no name or no value"))?;
        let (value, next) = cut(value, b',');
        tags.push((unescape(name, b", =").into_owned(), unescape(value, b", =").into_owned()));
        rest = next;
    }
    Ok(Series { measurement: unescape(name, b", \"=").into_owned(), tags })
}

/// What stands before and behind the first `delimiter` that has no backslash before it. The server does not count
/// backslashes: behind two of them a comma is escaped too.
fn cut(text: &[u8], delimiter: u8) -> (&[u8], Option<&[u8]>) {
    let mut before = 0;
    let at = text.iter().position(|byte| {
        let found = *byte == delimiter && before != b'\\';
        before = *byte;
        found
    });
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((name, rest)) => (name, rest.get(1..)),
        None => (text, None),
    }
}

/// Takes away the backslash before each of these bytes; any other one stays.
fn unescape<'a>(text: &'a [u8], escaped: &[u8]) -> Cow<'a, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.iter().copied().peekable();
    let mut unescaped = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(next) if byte == b'\\' && escaped.contains(next) => {
                unescaped.push(*next);
                bytes.next();
            }
            _ => unescaped.push(byte),
        }
    }
    Cow::Owned(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key, and behind `->` its measurement, its tags and its field, as a real server showed them.
    const TABLE: &str = r##"
        cpu#!~#value                                          -> cpu | | value
        cpu,host=a#!~#value                                   -> cpu | host:a | value
        m\ sp\,comma,tag\ k\=x\,y=v\ a\=l\,ue#!~#f ld=a,b     -> m sp,comma | tag k=x,y:v a=l,ue | f ld=a,b
        m=eq,t=x#!~#f                                         -> m=eq | t:x | f
        back\slash,t=a\b#!~#f\g                               -> back\slash | t:a\b | f\g
        bs3,t=c\\\,d#!~#f                                     -> bs3 | t:c\\,d | f
        quote"m,t"k="v"#!~#"f"                                -> quote"m | t"k:"v" | "f"
        fq\"k,t=\"#!~#f"q                                     -> fq"k | t:\" | f"q
        shown\=as,t=1#!~#f                                    -> shown=as | t:1 | f
        hashf,t=a#!~#x#!~#y                                   -> hashf | t:a | x#!~#y
        srt,A=3,B=1,a=2#!~#f                                  -> srt | A:3,B:1,a:2 | f
        cafe\,t=1#!~#f                                        -> cafe,t=1 | | f
        ends\,k=v\\,w=1#!~#f                                  -> ends,k=v\,w=1 | | f
        unié,tü=日本#!~#fé                                     -> unié | tü:日本 | fé
        v,t=a=b#!~#f                                          -> v | t:a=b | f
    "##;

    #[test]
    fn a_key_is_taken_apart_as_the_server_does_it() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (key, expected) = line.split_once("->").unwrap();
            let (series_key, field) = split(key.trim().as_bytes()).unwrap();
            let parts = series(series_key).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let tags: Vec<String> =
                parts.tags.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
            let found = format!("{} | {} | {}", text(&parts.measurement), tags.join(","), text(field));
            assert_eq!(found.replace("|  |", "| |"), expected.trim(), "{key}");
            assert_eq!(measurement(series_key), parts.measurement, "{key}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_guessed() {
        assert_eq!(split(b"cpu,host=a value"), None);
        assert_eq!(split(b"#!~"), None);
        assert_eq!(split(b"#!~#"), Some((&b""[..], &b""[..])));
        for broken in [&b""[..], b",t=1", b"m,", b"m,t", b"m,=1", b"m,a=1,", b"m,a\\=1"] {
            assert!(series(broken).is_err(), "{}", broken.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_through() {
        let parts = series(b"\xff\\ \xfe,\xfd=\\\\\xfc").unwrap();
        assert_eq!(parts.measurement, b"\xff \xfe");
        assert_eq!(parts.tags, [(b"\xfd".to_vec(), b"\\\\\xfc".to_vec())]);
    }
}
