//! The configuration file: TOML whose keys are the names of the options, with `_` for `-`.
//!
//! What all programs share stands at the top; what one program alone understands, or shall see otherwise than the
//! rest, stands in its table: `[backup]`, `[restore]`, `[dump]` and so on. What is run when a program has ended may stand in
//! `[hooks]`, for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::environment::Environment;
use crate::exit::Failure;

/// Where the file is when nobody says otherwise.
pub(crate) const DEFAULT: &str = "/etc/nightshard/nightshard.toml";

/// The programs, whose names are those of the tables.
pub(crate) const PROGRAMS: [&str; 9] =
    ["backup", "check", "dump", "fetch", "list", "prune", "report", "restore", "verify"];

/// The table whose keys might as well stand at the top, and these keys.
const HOOKS: (&str, [&str; 2]) = ("hooks", ["on_success", "on_failure"]);

/// A configuration file that was read, and whose keys are known.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// The values by key; those of the program's table have taken the place of the shared ones.
    values: BTreeMap<String, Vec<String>>,
}

impl File {
    /// Reads the file that is named by the flag or the environment, else the one at its usual place if there is one.
    pub(crate) fn find(flag: Option<&Path>, environment: &Environment) -> Result<Option<(PathBuf, String)>, Failure> {
        let named = flag.map(Path::to_owned).or_else(|| environment.get("NIGHTSHARD_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some((path, text))),
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => Ok(None),
            Err(error) => Err(Failure::usage(
                format!("cannot read the configuration {}: {error}", path.display()),
                "name another file with --config or NIGHTSHARD_CONFIG, or let the user of this program read it",
            )),
        }
    }

    /// Understands the text for one program. `shared` and `own` are the keys that may stand at the top, and those
    /// of the program alone; where nobody says which, its table may hold any.
    pub(crate) fn parse(
        path: PathBuf,
        text: &str,
        program: &str,
        shared: &BTreeSet<String>,
        own: Option<&BTreeSet<String>>,
    ) -> Result<File, Failure> {
        let mut top: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            Failure::usage(
                format!("cannot read the configuration {}: line {line}: {}", path.display(), error.message()),
                "it is TOML: `key = \"text\"`, `key = 4`, `key = [\"one\", \"two\"]`, tables such as [backup]",
            )
        })?;
        let unknown = |key: &str, table: &str, known: &mut dyn Iterator<Item = &str>| {
            let hint = match nearest(key, known) {
                Some(near) => format!("did you mean {near}?"),
                None => "--help names the options; a key is an option's name with _ for -".to_owned(),
            };
            Failure::usage(format!("unknown key {key} {table} of {}", path.display()), hint)
        };
        let mut tables = Table::new();
        for name in PROGRAMS.into_iter().chain([HOOKS.0]) {
            match top.remove(name) {
                Some(Value::Table(table)) => drop(tables.insert(name.to_owned(), Value::Table(table))),
                Some(_) => {
                    return Err(Failure::usage(
                        format!("{name} is no table in {}", path.display()),
                        format!("write [{name}] on a line of its own, and its keys below"),
                    ));
                }
                None => {}
            }
        }
        if let Some(Value::Table(hooks)) = tables.remove(HOOKS.0) {
            for (key, value) in hooks {
                if !HOOKS.1.contains(&key.as_str()) {
                    return Err(unknown(&key, "in [hooks]", &mut HOOKS.1.into_iter()));
                }
                if top.insert(key.clone(), value).is_some() {
                    return Err(Failure::usage(
                        format!("the key {key} stands at the top of {} and in [hooks]", path.display()),
                        "remove one of them",
                    ));
                }
            }
        }
        if let Some(key) = top.keys().find(|key| !shared.contains(*key)) {
            if own.is_some_and(|own| own.contains(key)) {
                return Err(Failure::usage(
                    format!("the key {key} stands at the top of {}", path.display()),
                    format!("only what all programs share stands there; move it into the table [{program}]"),
                ));
            }
            return Err(unknown(
                key,
                "at the top",
                &mut shared.iter().map(String::as_str).chain(PROGRAMS).chain([HOOKS.0]),
            ));
        }
        let table = match tables.remove(program) {
            Some(Value::Table(table)) => table,
            _ => Table::new(),
        };
        if let Some(own) = own
            && let Some(key) = table.keys().find(|key| !shared.contains(*key) && !own.contains(*key))
        {
            let known = &mut own.iter().chain(shared).map(String::as_str);
            return Err(unknown(key, &format!("in [{program}]"), known));
        }
        let mut values = BTreeMap::new();
        for (key, value) in top.into_iter().chain(table) {
            let several = match &value {
                Value::Array(values) => values.iter().map(scalar).collect::<Option<Vec<String>>>(),
                value => scalar(value).map(|value| vec![value]),
            };
            let several = several.ok_or_else(|| {
                Failure::usage(
                    format!("the key {key} of {} has a value of a wrong kind", path.display()),
                    "text, numbers, true and false are understood, and lists of them where an option may be repeated",
                )
            })?;
            values.insert(key, several);
        }
        Ok(File { path, values })
    }

    /// The values of a key: one, or several where the file has a list.
    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Whether a password stands in the file, and everybody on this machine may read it.
    pub(crate) fn tells_passwords_to_others(&self) -> bool {
        self.values.keys().any(|key| key.ends_with("_password")) && readable_by_others(&self.path)
    }
}

/// Whether users that are neither the owner nor in the group may read the file.
pub(crate) fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// The known name that looks most like `name`, if any does.
fn nearest<'a>(name: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let similar = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    similar.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, Failure> {
        let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let shared = keys(&["archive", "timezone", "on_success", "on_failure"]);
        File::parse("t.toml".into(), text, "backup", &shared, Some(&keys(&["database", "jobs"])))
    }

    #[test]
    fn the_programs_table_beats_the_top_and_those_of_others_are_theirs() {
        let file = parse(
            "archive = \"swift:\"\ntimezone = \"UTC\"\n[backup]\njobs = 8\ntimezone = \"Asia/Tokyo\"\n\
             database = [\"a\", \"b\"]\n[dump]\npage_size = 10\n[restore]\nanything = 1.5",
        )
        .unwrap();
        let expected = [("archive", "swift:"), ("timezone", "Asia/Tokyo"), ("jobs", "8"), ("database", "a b")];
        for (key, value) in expected {
            assert_eq!(file.get(key).unwrap().join(" "), value, "{key}");
        }
        assert_eq!(file.get("page_size"), None);
    }

    #[test]
    fn hooks_are_for_all_programs_and_one_may_have_its_own() {
        let file = parse("[hooks]\non_success = \"a\"\non_failure = \"b\"\n[backup]\non_failure = \"c\"").unwrap();
        assert_eq!(file.get("on_success").unwrap(), ["a"]);
        assert_eq!(file.get("on_failure").unwrap(), ["c"]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_a_hint() {
        let table = [
            ("archiv = 'x'", "unknown key archiv at the top of t.toml", "did you mean archive?"),
            ("[bakup]", "unknown key bakup at the top of t.toml", "did you mean backup?"),
            ("xyzzy = 1", "unknown key xyzzy at the top of t.toml", "--help names the options"),
            ("jobs = 4", "the key jobs stands at the top of t.toml", "move it into the table [backup]"),
            ("[backup]\njob = 4", "unknown key job in [backup] of t.toml", "did you mean jobs?"),
            ("[hooks]\non_sucess = 'x'", "unknown key on_sucess in [hooks] of t.toml", "did you mean on_success?"),
            ("on_failure = 'x'\n[hooks]\non_failure = 'y'", "stands at the top of t.toml and in [hooks]", "remove one"),
            ("backup = 4", "backup is no table in t.toml", "write [backup] on a line of its own"),
            ("archive = 1.5", "the key archive of t.toml has a value of a wrong kind", "text, numbers"),
            ("[backup]\ndatabase = [['a']]", "the key database of t.toml has a value of a wrong kind", "text, numbers"),
            ("timezone = 'UTC'\narchive =", "cannot read the configuration t.toml: line 2", "it is TOML"),
        ];
        for (text, message, hint) in table {
            let failure = parse(text).unwrap_err();
            assert!(failure.message.contains(message), "{text}: {}", failure.message);
            assert!(failure.hint.as_deref().unwrap().contains(hint), "{text}: {:?}", failure.hint);
        }
    }
}
