//! Timers of systemd, by `systemctl show`, which is made for programs.

use std::path::Path;
use std::process::Stdio;

use chrono::{DateTime, NaiveDateTime, Utc};
use tokio::process::Command;

use super::Entry;

/// What is asked of each timer, and of the service behind it.
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,NextElapseUSecRealtime,ExecStart";

/// What timers of ours start; nothing where systemd does not run this machine.
pub(super) async fn timers(systemctl: &Path, programs: &[&str]) -> Vec<Entry> {
    let mut command = Command::new(systemctl);
    let units = |kind: &'static str| programs.iter().map(move |name| format!("nightshard-{name}.{kind}"));
    command.args(["show", PROPERTIES]).args(units("timer")).args(units("service"));
    // Times are written for people, in the zone that the command is told.
    command.envs([("TZ", "UTC"), ("LC_ALL", "C")]).stdin(Stdio::null()).kill_on_drop(true);
    match command.output().await {
        Ok(output) if output.status.success() => read(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

/// Reads blocks of `Name=value`, one for each timer.
fn read(text: &str) -> Vec<Entry> {
    let mut timers: Vec<Entry> = text.split("\n\n").filter_map(timer).collect();
    for (program, arguments) in text.split("\n\n").filter_map(service) {
        for timer in timers.iter_mut().filter(|timer| timer.program == program) {
            timer.arguments.clone_from(&arguments);
        }
    }
    timers
}

/// The value of a property.
fn property<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// A service's program and its arguments: `{ path=… ; argv[]=nightshard-dump --all ; … }`.
fn service(block: &str) -> Option<(String, String)> {
    let program = property(block, "Id")?.strip_prefix("nightshard-")?.strip_suffix(".service")?;
    let (_, behind) = property(block, "ExecStart")?.split_once("argv[]=")?;
    let (_, arguments) = behind.split(" ; ").next()?.split_once(' ')?;
    Some((program.to_owned(), arguments.to_owned()))
}

fn timer(block: &str) -> Option<Entry> {
    let property = |name: &str| property(block, name);
    let unit = property("Id")?;
    let program = unit.strip_prefix("nightshard-")?.strip_suffix(".timer")?.to_owned();
    if property("LoadState") == Some("not-found") {
        return None;
    }
    let is_running = property("SubState") == Some("running");
    let next = property("NextElapseUSecRealtime").and_then(time);
    let trouble = match (property("LoadState"), property("ActiveState")) {
        (Some("loaded"), Some("active")) if next.is_none() && !is_running => Some(format!("{unit} has no next time")),
        (Some("loaded"), Some("active")) => None,
        (Some("loaded"), _) => Some(format!("{unit} is installed, and not started: systemctl enable --now {unit}")),
        (state, _) => Some(format!("{unit} is {}: see systemctl status {unit}", state.unwrap_or("unknown"))),
    };
    Some(Entry { program, next, by: unit.to_owned(), arguments: String::new(), is_running, trouble })
}

/// `Sat 2016-06-11 21:55:00 UTC`; newer releases may write `@1465682100` as well.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Some(seconds) = text.strip_prefix('@') {
        return DateTime::from_timestamp(seconds.parse().ok()?, 0);
    }
    let (_, rest) = text.strip_suffix(" UTC")?.split_once(' ')?;
    NaiveDateTime::parse_from_str(rest, "%Y-%m-%d %H:%M:%S%.f").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_understood() {
        let table = "
            # load    active   sub      next                          | what it means
            loaded    active   waiting  Sat 2016-06-11 21:55:00 UTC   | 2016-06-11T21:55:00Z
            loaded    active   waiting  Sat 2016-06-11 21:55:00.5 UTC | 2016-06-11T21:55:00.500Z
            loaded    active   waiting  @1465682100                   | 2016-06-11T21:55:00Z
            loaded    active   running                                | runs
            loaded    active   elapsed                                | nightshard-backup.timer has no next time
            loaded    active   waiting  n/a                           | nightshard-backup.timer has no next time
            loaded    inactive dead                                   | nightshard-backup.timer is installed, and not started: systemctl enable --now nightshard-backup.timer
            masked    inactive dead                                   | nightshard-backup.timer is masked: see systemctl status nightshard-backup.timer
            not-found inactive dead                                   | nothing";
        for row in table.lines().skip(2) {
            let (shown, expected) = row.trim().split_once('|').unwrap();
            let words: Vec<&str> = shown.split_whitespace().collect();
            let text = format!(
                "Id=nightshard-backup.timer\nLoadState={}\nActiveState={}\nSubState={}\nNextElapseUSecRealtime={}\n",
                words[0],
                words[1],
                words[2],
                words[3..].join(" ")
            );
            let found = match read(&text).pop() {
                None => "nothing".to_owned(),
                Some(Entry { trouble: Some(trouble), .. }) => trouble,
                Some(Entry { is_running: true, .. }) => "runs".to_owned(),
                Some(entry) => entry.next.unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            };
            assert_eq!(found, expected.trim(), "{shown}");
        }
    }

    #[test]
    fn several_timers_are_told_from_each_other_and_other_units_are_none() {
        let block = |id: &str| format!("Id={id}\nLoadState=loaded\nActiveState=active\nSubState=running\n");
        let text = [block("nightshard-backup.timer"), block("nightshard-dump.timer"), block("other.timer")].join("\n");
        let programs: Vec<String> = read(&text).into_iter().map(|entry| entry.program).collect();
        assert_eq!(programs, ["backup", "dump"]);
        let service = "Id=nightshard-dump.service\nLoadState=loaded\nExecStart={ path=/usr/local/bin/nightshard-dump ; \
                       argv[]=nightshard-dump --all --wait 6h ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }\n";
        let arguments: Vec<String> =
            read(&format!("{text}\n{service}")).into_iter().map(|entry| entry.arguments).collect();
        assert_eq!(arguments, ["", "--all --wait 6h"]);
        assert!(read("").is_empty());
    }
}
