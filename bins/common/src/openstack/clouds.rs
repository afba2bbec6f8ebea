//! `clouds.yaml` and `secure.yaml`: where they lie, how they are merged, and what one cloud of them says.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::environment::Environment;
use crate::exit::Failure;

/// One cloud of the files.
#[derive(Debug)]
pub(super) struct Cloud {
    /// Its name.
    pub(super) name: String,
    /// The file that names it.
    pub(super) path: PathBuf,
    values: Map<String, Value>,
}

impl Cloud {
    /// A text, number or truth value, from the section `auth` or from beside it. Keys may be written with dashes.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let auth = self.values.get("auth").and_then(Value::as_object);
        let sections = auth.into_iter().chain([&self.values]);
        let mut found = sections.flatten().filter(|(name, _)| name.replace('-', "_") == key).map(|(_, value)| value);
        found.find_map(|value| match value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Array(values) => values.first().and_then(Value::as_str).map(str::to_owned),
            Value::Null | Value::Object(_) => None,
        })
    }

    /// The region to use, and what it says otherwise than the cloud. A cloud with a list of regions takes only them.
    fn enter_region(&mut self, wanted: Option<&str>) -> Result<(), Failure> {
        let Some(Value::Array(regions)) = self.values.remove("regions") else { return Ok(()) };
        let name = |region: &Value| region.as_str().or_else(|| region.get("name")?.as_str()).map(str::to_owned);
        let Some(region) = regions.iter().find(|region| wanted.is_none() || name(region).as_deref() == wanted) else {
            let known: Vec<String> = regions.iter().filter_map(name).collect();
            return Err(Failure::usage(
                format!("the cloud {} has no region {}", self.name, wanted.unwrap_or_default()),
                format!("set OS_REGION_NAME to one of {}", known.join(", ")),
            ));
        };
        if let Some(Value::Object(values)) = region.get("values") {
            merge(&mut self.values, values);
        }
        if let Some(name) = name(region) {
            self.values.insert("region_name".to_owned(), Value::String(name));
        }
        Ok(())
    }
}

/// The cloud called `name`, or without a name the only one there is; `None` when there is none without a name.
pub(super) fn find(name: Option<&str>, environment: &Environment, directory: &Path) -> Result<Option<Cloud>, Failure> {
    let mut looked = Vec::new();
    let clouds = read("clouds", "OS_CLIENT_CONFIG_FILE", environment, directory, &mut looked)?;
    let Some((path, mut clouds)) = clouds else {
        return match name {
            None => Ok(None),
            Some(name) => Err(Failure::usage(
                format!("there is no clouds.yaml for the cloud {name} (OS_CLOUD)"),
                format!("looked at {}; OS_CLIENT_CONFIG_FILE names another file", looked.join(", ")),
            )),
        };
    };
    if let Some((_, secure)) = read("secure", "OS_CLIENT_SECURE_FILE", environment, directory, &mut looked)? {
        merge(&mut clouds, &secure);
    }
    let mut clouds = match clouds.remove("clouds") {
        Some(Value::Object(clouds)) => clouds,
        _ => Map::new(),
    };
    let known = clouds.keys().cloned().collect::<Vec<_>>().join(", ");
    let name = match name {
        Some(name) => name.to_owned(),
        None if clouds.len() == 1 => known.clone(),
        None if clouds.is_empty() => return Ok(None),
        None => {
            return Err(Failure::usage(
                format!("{} has several clouds and none is chosen", path.display()),
                format!("set OS_CLOUD to one of {known}"),
            ));
        }
    };
    let Some(Value::Object(values)) = clouds.remove(&name) else {
        return Err(Failure::usage(
            format!("there is no cloud {name} in {}", path.display()),
            format!("set OS_CLOUD to one of {known}"),
        ));
    };
    let mut cloud = Cloud { name, path, values };
    cloud.enter_region(environment.get("OS_REGION_NAME"))?;
    Ok(Some(cloud))
}

/// The first file of that name in the places where OpenStack's own tools look. `looked` gathers where it was not.
fn read(
    name: &str,
    variable: &str,
    environment: &Environment,
    directory: &Path,
    looked: &mut Vec<String>,
) -> Result<Option<Content>, Failure> {
    let folders = [
        Some(directory.to_owned()),
        environment.get("XDG_CONFIG_HOME").map(|folder| Path::new(folder).join("openstack")),
        environment.get("HOME").map(|folder| Path::new(folder).join(".config/openstack")),
        Some(PathBuf::from("/etc/openstack")),
    ];
    let usual = folders
        .into_iter()
        .flatten()
        .flat_map(|folder| ["yaml", "yml", "json"].map(|extension| folder.join(name).with_extension(extension)));
    for path in environment.get(variable).map(PathBuf::from).into_iter().chain(usual) {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                // JSON is YAML too.
                let content = serde_saphyr::from_str(&text).map_err(|error| {
                    // Only the first line: the rest quotes the file, where passwords stand.
                    let text = error.to_string();
                    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                    Failure::usage(
                        format!("cannot read {}: {reason}", path.display()),
                        "it must be YAML with `clouds:` at its top, as for the openstack command",
                    )
                })?;
                return Ok(Some((path, content)));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => looked.push(path.display().to_string()),
            Err(error) => looked.push(format!("{} ({error})", path.display())),
        }
    }
    Ok(None)
}

/// A file and what it says.
type Content = (PathBuf, Map<String, Value>);

/// Lays `over` onto `base`, map by map.
fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}
