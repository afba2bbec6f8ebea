//! Where the archive is, and what is kept of it on this machine.

use std::path::PathBuf;

use archive::{Calendar, ContainerPattern, Label};
use chrono::NaiveTime;
use chrono_tz::Tz;
use clap::Args;

use crate::environment::Environment;
use crate::values::{self, ArchiveUrl};

/// Where the archive is and how its nights are named.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Archive")]
pub struct Archive {
    /// swift: or a folder, file:///PATH
    ///
    /// Swift takes its credentials from OS_CLOUD, OS_* or ST_*, as its own tools do.
    #[arg(long, value_name = "URL")]
    pub archive: Option<ArchiveUrl>,
    /// Time zone in which days begin and end [default: this machine's]
    #[arg(long, value_name = "ZONE", value_parser = values::time_zone)]
    pub timezone: Tz,
    /// Name of a night's container, with strftime fields
    ///
    /// With the hour (%Y-%m-%dT%H%z) there is one each hour.
    #[arg(long, value_name = "PATTERN", default_value_t)]
    pub container: ContainerPattern,
    /// The backup of that day with this label
    ///
    /// Its container carries it: 2016-06-11_NAME.
    #[arg(long, value_name = "NAME")]
    pub label: Option<Label>,
    /// Local time until which `--date night` means the day before
    #[arg(long, value_name = "HH:MM", default_value = "12:00", value_parser = values::time_of_day)]
    pub night_ends: NaiveTime,
    /// Bytes a second to the archive and from it at most, such as 20MiB [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = values::rate)]
    pub limit_rate: Option<u64>,
    /// Swift: objects above this are stored in segments
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = values::bytes)]
    pub segment_size: u64,
    /// Swift: the container of the segments
    #[arg(long, value_name = "NAME", default_value = "nightshard-segments")]
    pub segments_container: String,
    /// Container of what nights have in common
    #[arg(long, value_name = "NAME", default_value = archive::pool::DEFAULT_CONTAINER)]
    pub pool_container: String,
    /// Swift: how often a call is tried before it counts as failed
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,
}

impl Archive {
    /// How days become containers.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let pattern = self.container.clone().labelled(self.label.clone());
        Calendar { time_zone: self.timezone, night_ends: self.night_ends, pattern }
    }
}

/// What a program that only reads keeps of the archive.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Archive")]
pub struct Cache {
    /// Folder in which documents of a Swift are kept for the next time [default: nightshard in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Read everything again, and keep nothing
    #[arg(long, conflicts_with = "cache")]
    pub no_cache: bool,
}

impl Cache {
    /// The folder, where something is to be kept: a folder archive is as near as the cache would be.
    #[must_use]
    pub fn folder(&self, archive: &Archive, environment: &Environment) -> Option<PathBuf> {
        if self.no_cache || archive.archive != Some(ArchiveUrl::Swift) {
            return None;
        }
        let of_service = || environment.get("CACHE_DIRECTORY")?.split(':').next().map(PathBuf::from);
        let of_user = || match environment.get("XDG_CACHE_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => environment.get("HOME").map(|home| PathBuf::from(home).join(".cache")),
        };
        // A relative one would be another in each folder.
        let of_user = || of_user().filter(|folder| folder.is_absolute());
        self.cache.clone().or_else(of_service).or_else(|| Some(of_user()?.join("nightshard")))
    }
}
