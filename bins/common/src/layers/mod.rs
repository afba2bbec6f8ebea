//! One value for each option out of five places, and the knowledge which it was.
//!
//! An option is declared once, as an argument of a program. Its other names follow by rule: the flag `--page-size`
//! is the variable `NIGHTSHARD_PAGE_SIZE` and the key `page_size` of the file. Flags beat the environment, that
//! beats systemd's credentials, those the file, and that the default. Values from below are handed to the parser
//! as if they stood on the command line, so that every value, wherever it comes from, is checked by the same code.
//! Switches without a value decide about one run, and exist on the command line only.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command};

use crate::environment::Environment;
use crate::exit::Failure;
use crate::file::File;
use crate::options::Shared;
use crate::time_zone;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Environment(String),
    /// A credential that systemd passed.
    Credential(PathBuf),
    /// The configuration file.
    File(PathBuf),
    /// What the machine says of itself.
    Machine(String),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("command line"),
            Origin::Environment(name) => f.write_str(name),
            Origin::Credential(path) | Origin::File(path) => path.display().fmt(f),
            Origin::Machine(what) => f.write_str(what),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// An option with its values, for `--print-config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// Whether the file has it at its top, and not only in the table of this program.
    pub(crate) shared: bool,
    /// Whether it is a list.
    pub(crate) repeatable: bool,
    pub(crate) secret: bool,
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

/// What became of a command line.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// `--help` or `--version`: a text to print.
    Text(String),
    /// Everything is known.
    Run(Box<Run>),
}

/// Parsed options.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) matches: ArgMatches,
    pub(crate) settings: Vec<Setting>,
    /// The configuration file, if one was read.
    pub(crate) file: Option<PathBuf>,
    /// What a person should know about where values came from.
    pub(crate) warnings: Vec<String>,
}

/// Reads the options of a program from all their places. `arguments` begins with the program's name.
pub(crate) fn parse(command: &Command, arguments: &[OsString], environment: &Environment) -> Result<Parsed, Failure> {
    read(command, arguments, environment, Table::Known)
}

/// Reads what several programs understand as the one sees it after which the command is named. What else stands in its
/// table is its own matter.
pub(crate) fn parse_for(command: &Command, environment: &Environment) -> Result<Parsed, Failure> {
    read(command, &[command.get_name().into()], environment, Table::Foreign)
}

/// Whose table of the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    /// The program's own: each of its keys must be known.
    Known,
    /// That of another program, which has keys of its own.
    Foreign,
}

fn read(command: &Command, arguments: &[OsString], environment: &Environment, whose: Table) -> Result<Parsed, Failure> {
    let program = command.get_name().to_owned();
    // At first only the flags, none of which is required yet: the other places may still name it.
    let relaxed = command.clone().mut_args(|argument| argument.required(false));
    let flags = match relaxed.clone().try_get_matches_from(arguments) {
        Ok(flags) => flags,
        Err(error) if !error.use_stderr() => return Ok(Parsed::Text(error.render().to_string())),
        Err(error) => return Err(explain(&error, command, &BTreeMap::new())),
    };
    let is_flag = |id: &str| flags.value_source(id) == Some(ValueSource::CommandLine);

    let mut warnings = Vec::new();
    let shared = keys(&Shared::augment_args(Command::new("shared")));
    let own: BTreeSet<String> = keys(command).difference(&shared).cloned().collect();
    let own = (whose == Table::Known).then_some(&own);
    let file = match File::find(flags.get_one::<PathBuf>("config").map(PathBuf::as_path), environment)? {
        Some((path, text)) => Some(File::parse(path, &text, table(&program), &shared, own)?),
        None => None,
    };
    if let Some(file) = file.as_ref().filter(|file| file.tells_passwords_to_others()) {
        warnings.push(format!("{} holds a password and can be read by everybody: chmod o-r it", file.path.display()));
    }

    let mut origins = BTreeMap::new();
    let mut extended: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    for argument in command.get_arguments().filter(|argument| is_setting(argument)) {
        let id = argument.get_id().as_str();
        if is_flag(id) {
            if is_secret(id) {
                return Err(Failure::usage(
                    format!("{} is not taken from the command line, which others can see", name(argument)),
                    format!("set {}, or {id} in the configuration file", variable(id)),
                ));
            }
            origins.insert(id.to_owned(), Origin::Flag);
        } else if let Some((values, origin)) = below(id, environment, file.as_ref())? {
            for value in values {
                extended.push(match argument.get_long() {
                    Some(long) => format!("--{long}={value}").into(),
                    None => value.into(),
                });
            }
            origins.insert(id.to_owned(), origin);
        }
    }
    extended.extend(arguments.iter().skip(1).cloned());
    // What is missing can be shown as missing.
    let strict = if flags.get_flag("print_config") { relaxed } else { command.clone() };
    let matches = strict.try_get_matches_from(extended).map_err(|error| explain(&error, command, &origins))?;

    let settings = command.get_arguments().filter(|argument| is_setting(argument)).map(|argument| {
        let id = argument.get_id().as_str();
        let raw = matches.get_raw(id).into_iter().flatten();
        Setting {
            key: id.to_owned(),
            shared: shared.contains(id),
            repeatable: matches!(argument.get_action(), ArgAction::Append),
            secret: id.ends_with("_password") || is_capability(id),
            values: raw.map(|value| value.to_string_lossy().into_owned()).collect(),
            origin: origins.remove(id).unwrap_or(Origin::Default),
        }
    });
    let settings = settings.collect();
    Ok(Parsed::Run(Box::new(Run { matches, settings, file: file.map(|file| file.path), warnings })))
}

/// The value of an option that the command line does not give, from the highest place that does.
fn below(id: &str, environment: &Environment, file: Option<&File>) -> Result<Option<(Vec<String>, Origin)>, Failure> {
    let variable = variable(id);
    if let Some(value) = environment.get(&variable) {
        return Ok(Some((vec![value.to_owned()], Origin::Environment(variable))));
    }
    if let Some(folder) = environment.get("CREDENTIALS_DIRECTORY").filter(|_| is_secret(id)) {
        let path = Path::new(folder).join(id);
        if path.exists() {
            return Ok(Some((vec![read_secret(&path)?], Origin::Credential(path))));
        }
    }
    if let Some((file, values)) = file.and_then(|file| Some((file, file.get(id)?))) {
        return Ok(Some((values.to_vec(), Origin::File(file.path.clone()))));
    }
    if id == "timezone" {
        let (zone, origin) = time_zone::of_machine(environment)?;
        return Ok(Some((vec![zone], Origin::Machine(origin))));
    }
    Ok(None)
}

/// The first line of a file that holds a password or a user's name and nothing else.
pub(crate) fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(
            format!("cannot read the secret in {}: {error}", path.display()),
            "the file must hold one line and be readable for the user of this program",
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn keys(command: &Command) -> BTreeSet<String> {
    let settings = command.get_arguments().filter(|argument| is_setting(argument));
    settings.map(|argument| argument.get_id().to_string()).collect()
}

/// What is done to one night by whoever types it. In a file it would be done again by every run that is to show something.
const DEEDS: [&str; 4] = ["delete", "pin", "reason", "unpin"];

/// Whether the option has a value, and can stand in the file: not a switch, not the file's own name, and no deed.
fn is_setting(argument: &Arg) -> bool {
    let id = argument.get_id().as_str();
    argument.get_action().takes_values() && id != "config" && !DEEDS.contains(&id)
}

/// Users and passwords, which never stand on a command line.
fn is_secret(id: &str) -> bool {
    id.ends_with("_user") || id.ends_with("_password")
}

/// What is shown in place of a value that may hold a secret.
const HIDDEN: &str = "(hidden)";

/// Addresses that whoever knows them may use: what a chat or a service for signs of life hands out.
fn is_capability(id: &str) -> bool {
    matches!(id, "notify_url" | "ping_url")
}

pub(crate) fn variable(id: &str) -> String {
    format!("NIGHTSHARD_{}", id.to_uppercase())
}

/// The table of a program in the file: its name without the family's.
pub(crate) fn table(program: &str) -> &str {
    program.trim_start_matches("nightshard-")
}

/// What a person calls the argument.
fn name(argument: &Arg) -> String {
    match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

/// Says in our words what the parser has to complain of, and where the value came from.
fn explain(error: &clap::Error, command: &Command, origins: &BTreeMap<String, Origin>) -> Failure {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    };
    let help = format!("`{} --help` tells what there is", command.get_name());
    // Only then do arguments know how they are written.
    let mut command = command.clone();
    command.build();
    let shown = context(ContextKind::InvalidArg).unwrap_or_default();
    let argument = command.get_arguments().find(|argument| argument.to_string() == shown);
    let place = match argument.map(|argument| (argument, origins.get(argument.get_id().as_str()))) {
        Some((argument, Some(Origin::Flag) | None)) => name(argument),
        Some((argument, Some(origin))) => format!("{} ({origin})", argument.get_id()),
        None => shown.clone(),
    };
    let mut value = context(ContextKind::InvalidValue).unwrap_or_default();
    if !value.is_empty() && (argument.is_some_and(|it| is_capability(it.get_id().as_str())) || value.contains('@')) {
        // What is said is written down, in journals and mails.
        value = HIDDEN.to_owned();
    }
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let hint = context(ContextKind::SuggestedArg).map_or(help, |near| format!("did you mean {near}?"));
            Failure::usage(format!("there is no option {shown}"), hint)
        }
        ErrorKind::InvalidValue if value.is_empty() => Failure::usage(format!("{place} needs a value"), help),
        ErrorKind::InvalidValue => {
            let valid = context(ContextKind::ValidValue).map_or(help, |valid| format!("give one of {valid}"));
            Failure::usage(format!("cannot use {value:?} as {place}"), valid)
        }
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error);
            // Some reasons have lines of their own, and a message is one.
            let in_one_line = |reason: String| reason.split_whitespace().collect::<Vec<_>>().join(" ");
            let reason = source.map_or_else(String::new, |source| format!(": {}", in_one_line(source.to_string())));
            Failure::usage(format!("cannot use {value:?} as {place}{reason}"), value_hint(source).unwrap_or(help))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = command.get_arguments().find(|argument| shown.contains(&argument.to_string()));
            let hint = missing.map_or(help, |argument| {
                let id = argument.get_id().as_str();
                let flag = name(argument);
                if !is_setting(argument) {
                    return format!("give {flag}");
                }
                format!("give {flag}, set {}, or write {id} = … into the configuration file", variable(id))
            });
            Failure::usage(format!("{shown} is missing"), hint)
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            if other == shown {
                return Failure::usage(format!("{place} is given twice"), "give it once");
            }
            Failure::usage(format!("{place} and {other} exclude each other"), "give one of them")
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Failure::usage(line, help)
        }
    }
}

/// The hint of whoever refused a value.
fn value_hint(source: Option<&(dyn std::error::Error + 'static)>) -> Option<String> {
    let source = source?;
    if let Some(error) = source.downcast_ref::<crate::values::ValueError>() {
        return Some(error.hint.clone());
    }
    source.downcast_ref::<archive::Error>()?.hint()
}

#[cfg(test)]
mod tests;
