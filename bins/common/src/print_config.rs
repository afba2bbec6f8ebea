//! `--print-config`: every setting and where it came from, in the form of a configuration file.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;
use toml::Value;

use crate::layers::Setting;

const HIDDEN: &str = "(hidden)";

/// The settings of a program as TOML, those of its own in its table; origins stand in comments.
pub(crate) fn as_toml(table: &str, file: Option<&Path>, settings: &[Setting], account: &[Setting]) -> String {
    let mut text = match file {
        Some(path) => format!("# the configuration file is {}\n", path.display()),
        None => "# there is no configuration file\n".to_owned(),
    };
    let (shared, own): (Vec<&Setting>, Vec<&Setting>) = settings.iter().partition(|setting| setting.shared);
    lines(&mut text, "", &shared);
    let _ = write!(text, "\n[{table}]\n");
    lines(&mut text, "", &own);
    if !account.is_empty() {
        text.push_str("\n# the account of swift:\n");
        lines(&mut text, "# ", &account.iter().collect::<Vec<_>>());
    }
    text
}

fn lines(text: &mut String, before: &str, settings: &[&Setting]) {
    let assignments: Vec<String> = settings.iter().map(|setting| assignment(before, setting)).collect();
    let width = assignments.iter().map(String::len).max().unwrap_or(0).min(60);
    for (assignment, setting) in assignments.iter().zip(settings) {
        // Writing into a String cannot fail.
        let _ = match setting.values.is_empty() {
            true => writeln!(text, "{assignment}"),
            false => writeln!(text, "{assignment:<width$}  # {}", setting.origin),
        };
    }
}

fn assignment(before: &str, setting: &Setting) -> String {
    let key = &setting.key;
    let value = match setting.values.as_slice() {
        [] => return format!("# {key} is not set"),
        _ if setting.secret => Value::from(HIDDEN),
        values if setting.repeatable => Value::from(values.to_vec()),
        [value, ..] => match (value.parse::<i64>(), value.parse::<bool>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(yes)) => Value::from(yes),
            _ => Value::from(value.clone()),
        },
    };
    format!("{before}{key} = {value}")
}

/// The same for machines.
pub(crate) fn as_json(settings: &[Setting], account: &[Setting]) -> String {
    let object = |settings: &[Setting]| {
        let members = settings.iter().map(|setting| {
            let value = match setting.values.as_slice() {
                [] => json!(null),
                _ if setting.secret => json!(HIDDEN),
                values if setting.repeatable => json!(values),
                [value, ..] => json!(value),
            };
            (setting.key.clone(), json!({ "value": value, "from": setting.origin.to_string() }))
        });
        members.collect::<serde_json::Map<_, _>>()
    };
    json!({ "settings": object(settings), "account": object(account) }).to_string()
}
