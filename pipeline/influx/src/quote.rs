//! Quoting for InfluxQL.
//!
//! Both kinds of quotes know the same three escapes: a line feed is `\n`, a backslash `\\`, and the quote itself
//! stands behind a backslash. A raw line feed within quotes is refused by the server, all else stands as it is.

/// `name` as an identifier: database, policy, measurement, tag or field.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    quote(name, '"')
}

/// `text` as a string literal: a tag's value in a condition, for instance.
#[must_use]
pub fn quote_string(text: &str) -> String {
    quote(text, '\'')
}

fn quote(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => quoted.extend(['\\', quote]),
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_line_feeds_are_escaped() {
        assert_eq!(quote_identifier("cpu"), r#""cpu""#);
        assert_eq!(quote_identifier(r#"a"b'c\d"#), r#""a\"b'c\\d""#);
        assert_eq!(quote_string(r#"a"b'c\d"#), r#"'a"b\'c\\d'"#);
        assert_eq!(quote_identifier("two\nlines"), r#""two\nlines""#);
        assert_eq!(quote_string("été 夜\t"), "'été 夜\t'");
        assert_eq!(quote_string(""), "''");
    }
}
