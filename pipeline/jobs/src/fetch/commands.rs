//! The same in plain `swift` commands, for a shell where none of our programs is.

use std::path::Path;

use archive::names;

use super::Destination;
use super::contents::Contents;
use super::plan::{Item, Plan, Unit};

/// So many objects are named in one command at most.
const AT_ONCE: usize = 50;

/// The commands, in the order of days and names.
pub(super) fn commands(plan: &Plan, contents: &[Contents], destination: &Destination) -> Vec<String> {
    match destination {
        Destination::Folder(folder) => contents.iter().flat_map(|night| of_night(plan, night, folder)).collect(),
        Destination::Flat(folder) => {
            let make = format!("mkdir -p {}", quoted(&as_path(folder)));
            std::iter::once(make).chain(of_units(plan, |item, _| quoted(&as_path(&item.target)))).collect()
        }
        Destination::Stream => of_units(plan, |_, unit| {
            let compression = unit.dump.as_ref().and_then(|dump| dump.compression.as_deref());
            match compression {
                Some(program) => format!("- | {program} -dc"),
                None => "-".to_owned(),
            }
        })
        .collect(),
    }
}

/// One command for each object, with what follows `--output`.
fn of_units<'a>(plan: &'a Plan, output: impl Fn(&Item, &Unit) -> String + 'a) -> impl Iterator<Item = String> + 'a {
    let items = plan.units.iter().flat_map(|unit| unit.items.iter().map(move |item| (item, unit)));
    items.map(move |(item, unit)| {
        let (container, name) = (quoted(&item.object.container), quoted(&item.object.name));
        format!("swift download {container} {name} --output {}", output(item, unit))
    })
}

/// A night into a folder: what is wanted as a whole by its prefix, the rest by names.
fn of_night(plan: &Plan, night: &Contents, folder: &Path) -> Vec<String> {
    let container = &night.container;
    let into = match folder == Path::new(".") {
        true => String::new(),
        false => format!(" --output-dir {}", quoted(&as_path(folder))),
    };
    let (mut prefixes, mut objects, mut seals) = (Vec::new(), Vec::new(), Vec::new());
    for unit in plan.units.iter().filter(|unit| unit.sealed_by.container == *container) {
        let prefix = match unit.dump {
            None => Some(names::shards_prefix(container)),
            Some(_) => night.all_dumps.then(|| names::dumps_prefix(container)),
        };
        match prefix {
            Some(prefix) if unit.items.is_empty() || prefixes.contains(&prefix) => {}
            Some(prefix) => prefixes.push(prefix),
            None => objects.extend(unit.items.iter().map(|item| &item.object.name)),
        }
        seals.extend(unit.seal.iter().map(|seal| &seal.object.name));
    }
    let container = quoted(container);
    let by_prefix =
        prefixes.iter().map(|prefix| format!("swift download {container} --prefix {}{into}", quoted(prefix)));
    let names: Vec<&String> = objects.into_iter().chain(seals).collect();
    let by_name = names.chunks(AT_ONCE).map(|names| match names {
        // Of a single object it wants to know the file, and makes no folder for it.
        [name] if !into.is_empty() => {
            let file = folder.join(name);
            let above = quoted(&as_path(file.parent().unwrap_or(folder)));
            let (name, file) = (quoted(name), quoted(&as_path(&file)));
            format!("mkdir -p {above} && swift download {container} {name} --output {file}")
        }
        names => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            format!("swift download {container} {}{into}", names.join(" "))
        }
    });
    by_prefix.chain(by_name).collect()
}

/// A path that no program takes for an option or for its standard output.
fn as_path(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('-') { format!("./{text}") } else { text }
}

/// A word as sh reads it.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./:@%+,".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::night;
    use super::*;

    fn shown(nights: &[Contents], destination: &Destination) -> Vec<String> {
        commands(&Plan::make(nights, destination).unwrap(), nights, destination)
    }

    #[test]
    fn words_are_read_by_a_shell_as_they_are() {
        for word in ["", "plain-1.00", "it's", "a b", "$HOME", "`id`", "a\nb", "*", "é", "\"", "\\", "~", "a=b;c"] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
        }
        assert_eq!(
            quoted("2016-06-11/influxdb/cpu_2016-06-11-00:00:00.json"),
            "2016-06-11/influxdb/cpu_2016-06-11-00:00:00.json"
        );
    }

    #[test]
    fn what_is_wanted_as_a_whole_is_named_by_its_prefix() {
        let dumps = [("a b.json", "json"), ("c.json.gz", "json")];
        let mut nights = [night("2016-06-11", &["meta.00", "db.p.00001.00"], &dumps)];
        assert_eq!(
            shown(&nights, &Destination::Folder("my files".into())),
            [
                "swift download 2016-06-11 --prefix 2016-06-11/shards/ --output-dir 'my files'",
                "swift download 2016-06-11 --prefix 2016-06-11/influxdb/ --output-dir 'my files'",
                "swift download 2016-06-11 2016-06-11/manifests/backup.json '2016-06-11/manifests/dump.a b.json.json' \
                 2016-06-11/manifests/dump.c.json.gz.json --output-dir 'my files'",
            ]
        );
        nights[0].groups.remove(0);
        nights[0].all_dumps = false;
        assert_eq!(
            shown(&nights, &Destination::Folder(".".into())),
            ["swift download 2016-06-11 '2016-06-11/influxdb/a b.json' 2016-06-11/influxdb/c.json.gz \
              '2016-06-11/manifests/dump.a b.json.json' 2016-06-11/manifests/dump.c.json.gz.json"]
        );
        assert_eq!(
            shown(&nights, &Destination::Flat("-x".into())),
            [
                "mkdir -p ./-x",
                "swift download 2016-06-11 '2016-06-11/influxdb/a b.json' --output './-x/a b.json'",
                "swift download 2016-06-11 2016-06-11/influxdb/c.json.gz --output ./-x/c.json.gz",
            ]
        );
        assert_eq!(
            shown(&nights, &Destination::Stream),
            [
                "swift download 2016-06-11 '2016-06-11/influxdb/a b.json' --output -",
                "swift download 2016-06-11 2016-06-11/influxdb/c.json.gz --output - | gzip -dc",
            ]
        );
        nights[0].groups.pop();
        nights[0].groups[0].objects.clear();
        assert_eq!(
            shown(&nights, &Destination::Folder("my files".into())),
            ["mkdir -p 'my files/2016-06-11/manifests' && swift download 2016-06-11 \
              '2016-06-11/manifests/dump.a b.json.json' --output 'my files/2016-06-11/manifests/dump.a b.json.json'"]
        );
    }
}
