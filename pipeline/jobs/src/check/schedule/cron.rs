//! Crontabs: which of their lines start programs of ours, and when.
//!
//! When a pattern is due is a matter of the `croner` crate. What is read here is what lies around it: comments, variables,
//! the user's column, and in which files cron looks at all.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use tokio::process::Command;

use super::Entry;

/// How the lines of a crontab begin: those of the system name a user behind the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    System,
    User,
}

/// What the crontabs of the system start: a folder of them, and one more file.
pub(super) fn of_system(folder: &Path, file: &Path, now: DateTime<Utc>, zone: Tz) -> Vec<Entry> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.push(file.to_owned());
    let mut entries = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut found = read(&text, &path.display().to_string(), Columns::System, now, zone);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path != file && !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            for entry in &mut found {
                entry.trouble =
                    Some(format!("{} is ignored by cron for its name: rename it to nightshard", path.display()));
            }
        }
        entries.extend(found);
    }
    entries
}

/// What the crontab of the user starts who runs this.
pub(super) async fn of_user(crontab: &Path, now: DateTime<Utc>, zone: Tz) -> Vec<Entry> {
    let mut command = Command::new(crontab);
    command.arg("-l").stdin(Stdio::null()).kill_on_drop(true);
    // No such program, or no crontab: then it starts nothing.
    match command.output().await {
        Ok(output) if output.status.success() => {
            read(&String::from_utf8_lossy(&output.stdout), "the crontab of this user", Columns::User, now, zone)
        }
        _ => Vec::new(),
    }
}

fn read(text: &str, by: &str, columns: Columns, now: DateTime<Utc>, mut zone: Tz) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in text.split_inclusive('\n') {
        let is_ended = line.ends_with('\n');
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = variable(line) {
            if name == "CRON_TZ" {
                zone = value.parse().unwrap_or(zone);
            }
            continue;
        }
        let Some((times, command)) = columns.split(line) else { continue };
        let next = next(&times, now, zone);
        for (program, arguments) in programs(command) {
            let (next, trouble) = match &next {
                _ if !is_ended => (None, Some(format!("the last line of {by} is ignored by cron: it has no end"))),
                Ok(next) => (*next, None),
                Err(reason) => (None, Some(format!("{by} has {times:?}, which cron does not understand: {reason}"))),
            };
            entries.push(Entry { program, next, by: by.to_owned(), arguments, is_running: false, trouble });
        }
    }
    entries
}

/// A line that sets a variable.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    (is_name && !name.is_empty()).then(|| (name, value.trim().trim_matches(['"', '\''])))
}

impl Columns {
    /// The times of a line, and its command.
    fn split(self, line: &str) -> Option<(String, &str)> {
        let times = if line.starts_with('@') { 1 } else { 5 };
        let columns = times + usize::from(self == Columns::System);
        let mut rest = line;
        let mut words = Vec::new();
        for _ in 0..columns {
            let (word, behind) = rest.split_once(char::is_whitespace)?;
            words.push(word);
            rest = behind.trim_start();
        }
        words.truncate(times);
        Some((words.join(" "), rest))
    }
}

/// The programs of ours that a command starts, with what it tells them.
fn programs(command: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for part in command.split([';', '&', '|', '(', ')', '`']) {
        let mut words = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let name = words.find_map(|word| word.rsplit('/').next()?.strip_prefix("nightshard-"));
        if let Some(name) = name.filter(|name| found.iter().all(|(other, _)| other != name)) {
            found.push((name.to_owned(), words.collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

/// When a line is due next; never, if it is due when the machine starts.
fn next(times: &str, now: DateTime<Utc>, zone: Tz) -> Result<Option<DateTime<Utc>>, String> {
    let pattern = match times {
        "@reboot" => return Ok(None),
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(pattern).map_err(|error| error.to_string())?;
    let next = cron.find_next_occurrence(&now.with_timezone(&zone), false).map_err(|error| error.to_string())?;
    Ok(Some(next.to_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn lines_are_due_when_cron_says() {
        // 2016-06-11 is a Saturday; in Berlin it is 14:00.
        let now = at("2016-06-11T12:00:00Z");
        let table = "
            55 23 * * * u nightshard-backup --quiet                 | backup 2016-06-11T21:55:00Z
            55 23 * * * u nice -n 10 /usr/local/bin/nightshard-backup | backup 2016-06-11T21:55:00Z
            15 0 * * *  u nightshard-restore                        | restore 2016-06-11T22:15:00Z
            */20 * * * * u nightshard-check                         | check 2016-06-11T12:20:00Z
            0 14 * * *  u nightshard-check                          | check 2016-06-12T12:00:00Z
            0 4 * * 1   u nightshard-verify                         | verify 2016-06-13T02:00:00Z
            0 4 * * mon u nightshard-verify                         | verify 2016-06-13T02:00:00Z
            0 4 * * 7   u nightshard-verify                         | verify 2016-06-12T02:00:00Z
            0 4 1 * 1   u nightshard-verify                         | verify 2016-06-13T02:00:00Z
            0 4 1-7 jul * u nightshard-verify                       | verify 2016-07-01T02:00:00Z
            @daily      u nightshard-backup                         | backup 2016-06-11T22:00:00Z
            @reboot     u nightshard-backup                         | backup -
            55 23 * * * u nightshard-backup && nightshard-restore   | backup 2016-06-11T21:55:00Z, restore 2016-06-11T21:55:00Z
            99 23 * * * u nightshard-backup                         | backup trouble
            #55 23 * * * u nightshard-backup                        |
            55 23 * * * u /opt/backup.sh                            |
            55 23 * * * nightshard-backup                           |
            NIGHTSHARD_CONFIG=/etc/nightshard/nightshard-backup.toml |
            MAILTO = root                                           |";
        for row in table.lines().skip(1) {
            let (line, expected) = row.trim().rsplit_once('|').unwrap();
            let line = format!("{}\n", line.trim());
            let found = read(&line, "t", Columns::System, now, chrono_tz::Europe::Berlin);
            let shown: Vec<String> = found.iter().map(shown).collect();
            assert_eq!(shown.join(", "), expected.trim(), "{line}");
        }
    }

    fn shown(entry: &Entry) -> String {
        let when = match (&entry.trouble, entry.next) {
            (Some(_), _) => "trouble".to_owned(),
            (None, Some(next)) => next.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            (None, None) => "-".to_owned(),
        };
        format!("{} {when}", entry.program)
    }

    #[test]
    fn a_crontab_of_a_user_has_no_column_for_one_and_cron_tz_holds_from_its_line_on() {
        let now = at("2016-06-11T12:00:00Z");
        let text =
            "55 23 * * * nightshard-backup\nCRON_TZ=\"UTC\"\n55 23 * * * nightshard-dump\n0 4 * * * nightshard-verify";
        let found = read(text, "t", Columns::User, now, chrono_tz::Europe::Berlin);
        let shown: Vec<String> = found.iter().map(shown).collect();
        assert_eq!(
            shown,
            ["backup 2016-06-11T21:55:00Z", "dump 2016-06-11T23:55:00Z", "verify trouble"],
            "cron ignores a last line without its end"
        );
    }

    #[test]
    fn what_a_line_tells_a_dump_is_known() {
        let table = [
            ("nightshard-dump --quiet --date yesterday", false),
            ("nice -n 10 /opt/nightshard-dump --quiet --all", true),
            ("sh -c 'nightshard-dump cpu memory'", true),
            ("nightshard-restore --quiet && nightshard-dump", false),
        ];
        for (command, names) in table {
            let line = format!("30 0 * * * {command}\n");
            let found = read(&line, "t", Columns::User, at("2016-06-11T12:00:00Z"), chrono_tz::UTC);
            let dump = found.iter().find(|entry| entry.program == "dump").unwrap();
            assert_eq!(dump.names_measurements(), names, "{command}");
        }
    }

    #[test]
    fn nights_of_23_and_25_hours_have_one_backup_each() {
        let next = |now: &str| next("55 23 * * *", at(now), chrono_tz::Europe::Berlin).unwrap();
        let at = |text: &str| Some(at(text));
        assert_eq!(next("2016-03-26T22:55:00Z"), at("2016-03-27T21:55:00Z"));
        assert_eq!(next("2016-10-29T21:55:00Z"), at("2016-10-30T22:55:00Z"));
    }

    #[test]
    fn the_crontab_that_comes_with_the_programs_starts_each_of_them() {
        let text = include_str!("../../../../../cron/nightshard.crontab");
        let folder = tempfile::tempdir().unwrap();
        let now = at("2016-06-11T12:00:00Z");
        let found = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let found = of_system(folder.path(), Path::new("/nonexistent"), now, chrono_tz::UTC);
            std::fs::remove_file(path).unwrap();
            found
        };
        let entries = found("nightshard");
        let of = |program: &str| entries.iter().find(|entry| entry.program == program).map(shown).unwrap();
        assert_eq!(of("backup"), "backup 2016-06-11T23:55:00Z");
        assert_eq!(of("restore"), "restore 2016-06-12T00:15:00Z");
        let ignored = found("nightshard.crontab");
        assert_eq!(ignored.len(), entries.len());
        assert!(ignored.iter().all(|entry| entry.trouble.as_ref().is_some_and(|why| why.contains("ignored by cron"))));
    }
}
