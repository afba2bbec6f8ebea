//! The server's JSON answers to statements.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One series (a table) of a statement's answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Series {
    /// Its name; empty where the server gives none.
    #[serde(default)]
    pub name: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Names of the columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Rows; each has as many values as there are columns.
    #[serde(default)]
    pub values: Vec<Vec<serde_json::Value>>,
}

impl Series {
    /// The values of one column, from the first row to the last; empty where there is no such column.
    pub fn column<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a serde_json::Value> + use<'a> {
        let position = self.columns.iter().position(|column| column == name);
        self.values.iter().filter_map(move |row| row.get(position?))
    }

    /// The first value of a column, if it is a text.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        self.column(column).next()?.as_str()
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Outcome>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
    #[serde(default)]
    partial: bool,
}

/// What is wrong with an answer that came with status 200.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server's own words.
    Refused(String),
    /// What does not follow the protocol.
    Malformed(String),
}

/// The series of all results of an answer.
pub(crate) fn series(body: &[u8]) -> Result<Vec<Series>, Fault> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    if let Some(error) = answer.error {
        return Err(Fault::Refused(error));
    }
    let mut all = Vec::new();
    for outcome in answer.results {
        if let Some(error) = outcome.error {
            return Err(Fault::Refused(error));
        }
        if outcome.partial {
            return Err(Fault::Malformed("it is marked as partial".to_owned()));
        }
        all.extend(outcome.series);
    }
    if all.iter().any(|series| series.values.iter().any(|row| row.len() != series.columns.len())) {
        return Err(Fault::Malformed("a row has not as many values as there are columns".to_owned()));
    }
    Ok(all)
}

/// The words in the body of a refusal: its JSON's `error`, else its beginning as it is.
pub(crate) fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice::<Answer>(body) {
        Ok(Answer { error: Some(error), .. }) => error,
        _ => String::from_utf8_lossy(body).chars().take(200).collect::<String>().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_a_good_status_are_errors() {
        let check = |body: &str| series(body.as_bytes()).unwrap_err();
        let refused = |text: &str| Fault::Refused(text.to_owned());
        assert_eq!(check(r#"{"results":[{"statement_id":0,"error":"no such thing"}]}"#), refused("no such thing"));
        assert_eq!(check(r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"x"}]}"#), refused("x"));
        assert_eq!(check(r#"{"error":"unable to parse"}"#), refused("unable to parse"));
        assert!(matches!(check(r#"{"results":[{"statement_id":0,"partial":true}]}"#), Fault::Malformed(_)));
        assert!(matches!(check(r#"{"results":[{"#), Fault::Malformed(_)));
        assert!(matches!(
            check(r#"{"results":[{"series":[{"columns":["a"],"values":[[1,2]]}]}]}"#),
            Fault::Malformed(_)
        ));
    }

    #[test]
    fn a_database_may_be_called_error() {
        let body = r#"{"results":[{"series":[{"name":"databases","columns":["name"],"values":[["error"]]}]}]}"#;
        let series = series(body.as_bytes()).unwrap();
        assert_eq!(series[0].text("name"), Some("error"));
    }

    #[test]
    fn words_are_found_in_a_refusal() {
        assert_eq!(error_text(br#"{"error":"authorization failed"}"#), "authorization failed");
        assert_eq!(error_text(b"<html>Bad Gateway</html>\n"), "<html>Bad Gateway</html>");
        assert_eq!(error_text(b""), "");
    }
}
