//! The process's environment, read once and then passed around as a value, so that tests can give another.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables.
#[derive(Clone, Default)]
pub struct Environment(pub(crate) BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. Names and values that are not Unicode are not ours and are left out.
    #[must_use]
    pub fn of_process() -> Environment {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment(std::env::vars_os().filter_map(unicode).collect())
    }

    /// The variable's value; an empty one counts as not set, as it does for OpenStack's and systemd's own tools.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same environment with other values for some variables.
    pub(crate) fn with(&self, variables: &[(String, String)]) -> Environment {
        let mut all = self.0.clone();
        all.extend(variables.iter().cloned());
        Environment(all)
    }

    /// The first of several variables that is set, with its name.
    pub(crate) fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// Whether the variable is set to something that means yes.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str()))
    }

    /// `~` and what follows it, where the home is known; any other path as it is.
    pub(crate) fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.get("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(path),
        }
    }
}

/// Names alone: values may be secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Environment {
        Environment(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
