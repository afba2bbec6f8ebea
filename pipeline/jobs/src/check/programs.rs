//! What the programs of the night understand of their configuration, each asked for itself.
//!
//! Each program reads its own table of the file only, with its own code. So each is run with `--print-config`: a wrong key
//! in `[restore]` is found in the afternoon, and nobody has to know from outside what a program would make of a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Check, Config};
use crate::{Error, Kind};

/// A program of the night.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name without the family's, which is that of its table: `backup`.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Setting {
    value: Value,
    from: String,
}

/// The settings of a program as it shows them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Settings {
    settings: BTreeMap<String, Setting>,
}

impl Settings {
    /// The values of an option: none where it is not set.
    pub(super) fn values(&self, key: &str) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match self.settings.get(key).map(|setting| &setting.value) {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The value of an option that has one.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.values(key).into_iter().next()
    }

    /// Whether somebody has set an option whose name begins so.
    fn is_set(&self, beginning: &str) -> bool {
        let named = self.settings.iter().filter(|(key, _)| key.starts_with(beginning));
        named.into_iter().any(|(_, setting)| setting.from != "default")
    }
}

/// What all of them said.
#[derive(Debug)]
pub(super) struct Asked(Vec<(&'static str, Result<Settings, Error>)>);

/// Asks all programs at once.
pub(super) async fn ask(config: &Config) -> Asked {
    let asked = config.programs.iter().map(|program| async move { (program.name, settings(config, program).await) });
    Asked(join_all(asked).await)
}

impl Asked {
    /// The settings of a program, if it understands them.
    pub(super) fn of(&self, name: &str) -> Option<&Settings> {
        self.0.iter().find(|(other, _)| *other == name).and_then(|(_, asked)| asked.as_ref().ok())
    }

    /// Whether an intermediary is configured for any program.
    pub(super) fn has_target(&self) -> bool {
        self.0.iter().filter_map(|(_, asked)| asked.as_ref().ok()).any(|settings| settings.is_set("target"))
    }

    /// A check for each program, and whether they speak of one archive.
    pub(super) fn checks(&self) -> Vec<Check> {
        let each = self.0.iter().map(|(name, asked)| {
            let id = format!("configuration.{name}");
            match asked {
                Ok(settings) => Check::ok(&id, origins(settings)),
                Err(error) => Check::failed(&id, error),
            }
        });
        each.chain([self.agreement()]).collect()
    }

    /// What must be the same for all: else one looks for nights where the other does not put them.
    fn agreement(&self) -> Check {
        const ID: &str = "configuration.agreement";
        const SHARED: [&str; 5] = ["archive", "container", "timezone", "locks", "segments_container"];
        let understood = || self.0.iter().filter_map(|(name, asked)| Some((*name, asked.as_ref().ok()?)));
        let Some((first, expected)) = understood().next() else {
            return Check::skipped(ID, "no program understands its configuration");
        };
        for (name, settings) in understood().skip(1) {
            for key in SHARED {
                let (here, there) = (expected.value(key), settings.value(key));
                if here != there {
                    let show = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
                    return Check::wrong(
                        ID,
                        format!(
                            "{key} is {} for nightshard-{first}, and {} for nightshard-{name}",
                            show(here),
                            show(there)
                        ),
                        format!("set {key} once, at the top of the configuration file, and in no table and no unit"),
                    );
                }
            }
        }
        Check::ok(ID, "all programs mean the same archive, nights and locks")
    }
}

/// From where a program has what is not a default.
fn origins(settings: &Settings) -> String {
    // How lines look is said by the check itself, so that it can read them.
    let told = settings.settings.iter().filter(|(key, _)| *key != "log_format");
    let mut places: Vec<&str> = told.map(|(_, setting)| setting.from.as_str()).collect();
    places.retain(|place| *place != "default" && !place.is_empty());
    places.sort_unstable();
    places.dedup();
    match places.as_slice() {
        [] => "understood; everything has its default".to_owned(),
        places => format!("understood; settings come from {}", places.join(", ")),
    }
}

async fn settings(config: &Config, program: &Program) -> Result<Settings, Error> {
    let name = format!("nightshard-{}", program.name);
    if !program.path.exists() {
        let message = format!("{} does not exist", program.path.display());
        return Err(Error::new(Kind::Failed, message).hint("install all programs of one version into one folder"));
    }
    let version = run(config, &program.path, &["--version"]).await?;
    let (shown, expected) =
        (String::from_utf8_lossy(&version.stdout), format!("{name} {}", config.place.writer.version));
    if shown.trim() != expected {
        let message = format!("{} is {:?} instead of {expected}", program.path.display(), shown.trim());
        return Err(Error::new(Kind::Failed, message).hint("install all programs of one version into one folder"));
    }
    let output = run(config, &program.path, &["--print-config", "--json"]).await?;
    if !output.status.success() {
        return Err(told(&name, &output));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Error::new(Kind::Failed, format!("cannot read what {name} --print-config --json prints: {error}"))
            .hint("install all programs of one version into one folder")
    })
}

async fn run(config: &Config, path: &Path, arguments: &[&str]) -> Result<Output, Error> {
    let failed = |reason: String| {
        Error::new(Kind::Failed, format!("cannot run {}: {reason}", path.display()))
            .hint("the user that runs this must be able to run it")
    };
    let mut command = Command::new(path);
    command.args(arguments).envs(config.variables.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    match timeout(config.patience, command.output()).await {
        Ok(output) => output.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed(format!("it has not ended within {:.0?}", config.patience))),
    }
}

/// The program's own words, with its hint.
fn told(name: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = |prefix: &str| said.lines().find_map(|line| line.strip_prefix(prefix));
    let message = line("error: ").map_or_else(|| format!("{name} ended with {}", output.status), str::to_owned);
    let hint = line("hint: ").map_or_else(|| format!("see `{name} --print-config`"), str::to_owned);
    Error::new(Kind::Usage, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn programs_that_mean_different_archives_are_told_of() {
        let one = r#"{"settings": {"archive": {"value": "file:///a", "from": "x"}, "locks": {"value": "/l", "from": "default"}}}"#;
        let asked = |two: &str| Asked(vec![("backup", Ok(settings(one))), ("restore", Ok(settings(two)))]);
        assert_eq!(asked(one).agreement().message, "all programs mean the same archive, nights and locks");
        let other = asked(&one.replace("///a", "///b")).agreement();
        assert_eq!(other.message, "archive is file:///a for nightshard-backup, and file:///b for nightshard-restore");
        assert_eq!(asked(r#"{"settings": {}}"#).agreement().message.split(' ').next(), Some("archive"));
    }

    #[test]
    fn settings_have_values_and_origins() {
        let settings = settings(
            r#"{"settings": {"database": {"value": ["a", "b"], "from": "t.toml"}, "jobs": {"value": "4", "from": "default"},
                "wait": {"value": null, "from": "default"}, "target_user": {"value": null, "from": "default"}}, "account": {}}"#,
        );
        assert_eq!(settings.values("database"), ["a", "b"]);
        assert_eq!(
            (settings.value("jobs").as_deref(), settings.value("wait"), settings.value("x")),
            (Some("4"), None, None)
        );
        assert!(settings.is_set("data") && !settings.is_set("target") && !settings.is_set("jobs"));
        assert_eq!(origins(&settings), "understood; settings come from t.toml");
    }
}
