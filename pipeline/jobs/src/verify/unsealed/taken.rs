//! Until when a shard that others have backed up surely holds everything.
//!
//! Nobody has written down when `influxd backup` asked for it. The files in its tar tell of it: each was there when the snapshot
//! was taken, so that was not before the newest of them. Nearly: the snapshot has the cache written out first, to a file that
//! bears the time at which that was done, while points that came as it was being written stay outside. So a while is taken off, longer
//! than it takes to write out a cache of InfluxDB's default size.
//!
//! Of files that were written out of the cache that holds whatever the server did. Those that a compaction has made of others tell
//! nothing of the cache, which servers from 1.8.5 on leave where it is when they are busy; so they are asked only where there
//! are no others. Then nobody had written to the shard for hours, as a rule, and the instant is as old: all that can be known
//! is that nothing was lost until then. A dump says so by being open.

use chrono::{DateTime, TimeDelta, Utc};

use crate::inventory::Written;

/// No cache takes longer to be written out: 1 GiB, at 48 MiB/s, and the headers' rounding to the nearest second.
const FLUSH: TimeDelta = TimeDelta::minutes(1);

/// How files are called that were written out of the cache: the second number counts the compactions.
const OF_CACHE: &str = "-000000001.tsm";

/// An instant that is surely not after the snapshot, by the times of its files; none where no file tells. The snapshot lies before
/// the object was `stored`: a file that says otherwise was written by a clock that was wrong.
pub(super) fn at_least(files: &[Written], stored: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let instant = |file: &Written| Some(DateTime::from_timestamp(i64::try_from(file.seconds).ok()?, 0)? - FLUSH);
    let newest = |is_asked: fn(&Written) -> bool| {
        let asked = files.iter().filter(|file| is_asked(file));
        asked.filter_map(instant).filter(|instant| *instant <= stored).max()
    };
    newest(|file| file.name.ends_with(OF_CACHE)).or_else(|| newest(|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_out_of_the_cache_tells_unless_it_comes_from_the_future() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let stored = at(10_000);
        // Generations, how often they were compacted, and their times; and the instant.
        let table = "
            -                           | -
            1-1 5000                    | 4940
            1-1 5000, 2-1 9000, 3-1 700 | 8940
            # what was compacted later tells only where there is nothing else
            4-2 9500, 5-1 9000          | 8940
            4-2 9500, 8-3 9000          | 9440
            # rounded up, or on a machine whose clock is a little ahead
            1-1 10030                   | 9970
            1-1 5000, 2-1 10061         | 4940
            1-1 18446744073709551615    | -
            1-1 9999999999999999, 2-1 0 | -60";
        let written = |file: &str| {
            let (name, seconds) = file.split_once(' ')?;
            let (generation, compacted) = name.split_once('-')?;
            Some(Written { name: format!("{generation:0>9}-{compacted:0>9}.tsm"), seconds: seconds.parse().ok()? })
        };
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
            let (files, expected) = row.split_once('|').unwrap();
            let files: Vec<Written> = files.trim().split(", ").filter_map(written).collect();
            assert_eq!(at_least(&files, stored), expected.trim().parse().ok().map(at), "{row}");
        }
    }
}
