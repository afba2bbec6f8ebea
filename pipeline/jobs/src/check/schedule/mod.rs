//! Who opens the doors, and when next: timers of systemd, or cron.

mod cron;
mod systemd;

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::{Check, Config, Status, within};
use crate::clocks;

/// Where timers and crontabs are looked for.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The command that tells of timers.
    pub systemctl: PathBuf,
    /// The command that shows a user's crontab.
    pub crontab: PathBuf,
    /// The folder of the system's crontabs.
    pub cron_folder: PathBuf,
    /// One more crontab of the system.
    pub cron_file: PathBuf,
}

/// A timer, or a line of a crontab, that starts a program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The program's name without the family's.
    program: String,
    /// When it is started next.
    next: Option<DateTime<Utc>>,
    /// What starts it.
    by: String,
    /// What follows the program's name on the line, where that is known.
    arguments: String,
    /// Whether it runs at this moment.
    is_running: bool,
    /// Why it is not started after all.
    trouble: Option<String>,
}

impl Entry {
    /// Whether a dump is told what to dump.
    fn names_measurements(&self) -> bool {
        let first = self.arguments.split_whitespace().next();
        first.is_some_and(|word| !word.starts_with('-')) || self.arguments.contains("--all")
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) checks: Vec<Check>,
    /// When the next backup begins, if that is known.
    pub(super) next_backup: Option<DateTime<Utc>>,
}

/// What the configuration leaves to whoever starts the programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    /// There is an intermediary, which is there to be restored onto.
    pub(super) restore: bool,
    /// No measurement is configured, so a dump must be told of them.
    pub(super) measurements: bool,
}

/// Looks for what starts the programs.
pub(super) async fn look(config: &Config, wants: Wants, now: DateTime<Utc>) -> Found {
    let names: Vec<&str> = config.programs.iter().map(|program| program.name).collect();
    let Some(schedule) = &config.schedule else {
        let check = Check::skipped("schedule.backup", "something else starts the programs (--no-schedule)");
        return Found { checks: vec![check], next_backup: None };
    };
    let zone = config.machine_zone.unwrap_or(config.calendar.time_zone);
    let asked = async {
        let (timers, user) =
            tokio::join!(systemd::timers(&schedule.systemctl, &names), cron::of_user(&schedule.crontab, now, zone));
        let system = cron::of_system(&schedule.cron_folder, &schedule.cron_file, now, zone);
        Ok(timers.into_iter().chain(system).chain(user).collect())
    };
    let entries: Vec<Entry> = match within(config.patience, "systemctl or crontab", asked).await {
        Ok(entries) => entries,
        Err(error) => return Found { checks: vec![Check::failed("schedule.backup", &error)], next_backup: None },
    };
    let checks = ["backup", "restore", "dump", "verify"].map(|program| {
        let of_program: Vec<&Entry> = entries.iter().filter(|entry| entry.program == program).collect();
        let is_needed = match program {
            "backup" => Need::Must,
            "restore" if wants.restore => Need::Should,
            _ => Need::May,
        };
        let found = check(program, &of_program, is_needed, now, zone);
        match of_program.iter().find(|entry| program == "dump" && wants.measurements && !entry.names_measurements()) {
            Some(entry) if found.status == Status::Ok => Check::warning(
                &found.id,
                format!("{}; but no measurement is configured, nor named there", entry.by),
                "name what is to be dumped: measurement = [...] under [dump] in the configuration file",
            ),
            _ => found,
        }
    });
    let backups = entries.iter().filter(|entry| entry.program == "backup" && entry.trouble.is_none());
    Found { checks: checks.to_vec(), next_backup: backups.filter_map(|entry| entry.next).min() }
}

/// How much it matters that a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    Should,
    May,
}

fn check(program: &str, entries: &[&Entry], need: Need, now: DateTime<Utc>, zone: chrono_tz::Tz) -> Check {
    let id = format!("schedule.{program}");
    let good = || entries.iter().filter(|entry| entry.trouble.is_none());
    if let Some(first) = good().filter(|entry| entry.next.is_some()).min_by_key(|entry| entry.next) {
        let next = first.next.unwrap_or(now);
        let local = next.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z");
        let others: String =
            good().filter(|entry| entry.by != first.by).map(|entry| format!(", also by {}", entry.by)).collect();
        let span = clocks::duration(next - now);
        return Check::ok(&id, format!("next at {local}, in {span}, by {}{others}", first.by));
    }
    if let Some(running) = good().find(|entry| entry.is_running) {
        return Check::ok(&id, format!("it runs at this moment, by {}", running.by));
    }
    let hint = format!(
        "systemctl enable --now nightshard-{program}.timer, or cron/nightshard.crontab as /etc/cron.d/nightshard; \
         --no-schedule where something else starts the programs"
    );
    let message = match (entries.iter().find_map(|entry| entry.trouble.clone()), good().next()) {
        (Some(trouble), _) => trouble,
        (None, Some(entry)) => format!("it is started by {}, at no time of day", entry.by),
        (None, None) => format!("no timer and no crontab starts nightshard-{program}"),
    };
    match (need, entries.is_empty()) {
        (Need::Must, _) => Check::wrong(&id, message, hint),
        (Need::Should, _) | (Need::May, false) => Check::warning(&id, message, hint),
        (Need::May, true) => Check::skipped(&id, message),
    }
}
