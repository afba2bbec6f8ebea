//! What one dump is of, and where it goes.

use archive::records::DumpManifest;
use archive::{DumpOf, Night, Window};
use chrono::NaiveDate;

use super::format::Encoding;
use super::schema::Origin;
use super::{Run, spans};
use crate::Error;

/// A window of a measurement, and the place of its dump in the archive.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// The container of the day.
    pub(super) container: String,
    /// The day.
    pub(super) night: NaiveDate,
    /// The time zone in which the day begins and ends.
    pub(super) time_zone: String,
    pub(super) window: Window,
    /// The window as InfluxDB counts it.
    pub(super) span: [i64; 2],
    pub(super) origin: Origin,
    /// The file name of the dump.
    pub(super) file: String,
    pub(super) encoding: Encoding,
    pub(super) page_size: usize,
    pub(super) purpose: Purpose,
}

/// Why a dump is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It was asked for.
    Asked,
    /// It is open, and is to be completed. Its measurement may be gone by now.
    Completion,
    /// Its measurement came after the backup of its day, if it has records there at all.
    Late,
}

impl Task {
    /// A dump of the day that was asked for.
    pub(super) fn new(
        run: &Run,
        night: &Night,
        window: Window,
        policy: &str,
        measurement: &str,
    ) -> Result<Task, Error> {
        let time_zone = run.job.config.calendar.time_zone;
        let encoding = Encoding { format: run.job.config.format, compression: run.job.config.compression };
        let database = run.database.as_str();
        let of = DumpOf { database, retention_policy: policy, measurement };
        Ok(Task {
            container: night.container.clone(),
            night: night.day,
            time_zone: time_zone.to_string(),
            window,
            span: spans::span(night.day, window)?,
            origin: Origin {
                database: database.to_owned(),
                policy: policy.to_owned(),
                measurement: measurement.to_owned(),
            },
            file: run.job.config.name.file(of, window, time_zone, &encoding.extension()),
            encoding,
            page_size: run.job.config.page_size,
            purpose: Purpose::Asked,
        })
    }

    /// The completion of an open dump, in its own format.
    pub(super) fn completion(container: &str, file: &str, seal: &DumpManifest) -> Result<Task, Error> {
        let window = Window { start: seal.window_start, end: seal.window_end };
        Ok(Task {
            container: container.to_owned(),
            night: seal.night,
            time_zone: seal.time_zone.clone(),
            window,
            span: spans::span(seal.night, window)?,
            origin: Origin {
                database: seal.database.clone(),
                policy: seal.retention_policy.clone(),
                measurement: seal.measurement.clone(),
            },
            file: file.to_owned(),
            encoding: Encoding::read(&seal.encoding, seal.compression.as_deref())?,
            page_size: usize::try_from(seal.page_size).unwrap_or(usize::MAX),
            purpose: Purpose::Completion,
        })
    }
}
