//! A file for Prometheus' node exporter, in the OpenMetrics format, replaced as a whole after each run.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use jobs::Metric;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Ending;

/// The time of the last success, which a failed run takes over from the file that it replaces.
const LAST_SUCCESS: &str = "nightshard_job_last_success_timestamp_seconds";

/// Stands in a path for the program's name: a file belongs to one program.
pub(crate) const PROGRAM: &str = "{program}";

type Value = Gauge<f64, AtomicU64>;
type Values = Family<Vec<(String, String)>, Value>;

/// Writes down how a run ended and what it measured.
pub(super) fn write(pattern: &Path, ending: &Ending, measured: &[Metric]) -> Result<(), String> {
    let path = PathBuf::from(pattern.to_string_lossy().replace(PROGRAM, &ending.program));
    let failed = |error: &dyn std::fmt::Display| format!("cannot write the metrics to {}: {error}", path.display());
    let last_success = match ending.success {
        true => Some(seconds(ending.finished)),
        false => std::fs::read_to_string(&path).ok().and_then(|text| last_success(&text)),
    };
    let text = text(ending, last_success, measured).map_err(|error| failed(&error))?;
    // The exporter reads all files of the folder that end in .prom, at any moment.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".nightshard-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
    file.persist(&path).map_err(|error| failed(&error.error))?;
    Ok(())
}

fn text(ending: &Ending, last_success: Option<f64>, measured: &[Metric]) -> Result<String, std::fmt::Error> {
    let of_run = |name, help, value: f64| Metric::new(name, help, value).with("program", &ending.program);
    let failures = ending.failures.len() as f64;
    let mut all = vec![
        of_run("nightshard_job_started_timestamp_seconds", "When the last run began", seconds(ending.started)),
        of_run("nightshard_job_finished_timestamp_seconds", "When the last run ended", seconds(ending.finished)),
        of_run("nightshard_job_seconds", "How long the last run took", ending.seconds),
        of_run("nightshard_job_exit_code", "The exit code of the last run", ending.exit_code.into()),
        of_run("nightshard_job_failures", "Items that failed in the last run", failures),
    ];
    all.extend(last_success.map(|time| of_run(LAST_SUCCESS, "When the last run that succeeded ended", time)));
    all.extend_from_slice(measured);
    let mut registry = Registry::default();
    let mut families: BTreeMap<&str, (&str, Values)> = BTreeMap::new();
    for metric in all {
        if metric.labels.is_empty() {
            let value = Value::default();
            value.set(metric.value);
            registry.register(metric.name, metric.help, value);
            continue;
        }
        let (_, values) = families.entry(metric.name).or_insert_with(|| (metric.help, Values::default()));
        let labels: Vec<_> = metric.labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
        values.get_or_create(&labels).set(metric.value);
    }
    for (name, (help, values)) in families {
        registry.register(name, help, values);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The time of the last success that a file tells of.
fn last_success(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(LAST_SUCCESS))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit_code: u8, minute: i64) -> Ending {
        let started = DateTime::from_timestamp(1_465_689_300 + minute * 60, 0).unwrap();
        Ending {
            format: "nightshard-outcome/1",
            program: "nightshard-backup".to_owned(),
            version: "1.2.3".to_owned(),
            host: "here".to_owned(),
            started,
            finished: started + chrono::TimeDelta::seconds(30),
            seconds: 30.0,
            exit_code,
            success: exit_code == 0,
            summary: None,
            failures: Vec::new(),
            error: None,
            hint: None,
            outcome: None,
        }
    }

    #[test]
    fn a_failed_run_keeps_the_time_of_the_last_success() {
        let folder = test_support::temp_dir();
        let pattern = folder.path().join("{program}.prom");
        let read = || std::fs::read_to_string(folder.path().join("nightshard-backup.prom")).unwrap();
        let line = |name: &str, value: &str| format!("\n{name}{{program=\"nightshard-backup\"}} {value}\n");

        write(&pattern, &ending(1, 0), &[]).unwrap();
        assert!(!read().contains(LAST_SUCCESS), "{}", read());
        write(&pattern, &ending(0, 1), &[Metric::new("nightshard_backup_bytes", "Bytes", 7.0)]).unwrap();
        assert!(read().contains(&line(LAST_SUCCESS, "1465689390.0")), "{}", read());
        assert!(read().contains("\n# TYPE nightshard_backup_bytes gauge\nnightshard_backup_bytes 7.0\n"), "{}", read());
        for minute in 2..4 {
            write(&pattern, &ending(75, minute), &[]).unwrap();
            assert!(read().contains(&line(LAST_SUCCESS, "1465689390.0")), "{}", read());
            assert!(read().contains(&line("nightshard_job_exit_code", "75.0")), "{}", read());
        }
        assert!(read().ends_with("# EOF\n"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn values_of_one_name_are_told_apart_by_their_labels() {
        let of = |state: &str, value| Metric::new("nightshard_nights", "Nights", value).with("state", state);
        let text = text(&ending(0, 0), None, &[of("a\"b\\c\nd", 1.0), of("ready", 2.0)]).unwrap();
        assert!(text.contains("nightshard_nights{state=\"a\\\"b\\\\c\\nd\"} 1.0\n"), "{text}");
        assert!(text.contains("nightshard_nights{state=\"ready\"} 2.0\n"), "{text}");
        assert_eq!(text.matches("# HELP nightshard_nights Nights.\n").count(), 1, "{text}");
    }
}
