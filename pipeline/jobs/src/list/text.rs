//! Nights as people read them: a table, or one night on a page.

use chrono::{DateTime, Utc};

use super::{Night, State};

/// What lies between two columns.
const GAP: &str = "  ";

/// What stands behind the state of a night that is pinned, and before the line that says why.
const PINNED: &str = "*";

/// A line for each night.
pub(super) fn table(nights: &[Night]) -> String {
    let heads =
        ["NIGHT", "STATE", "DATABASES", "SHARDS", "SIZE", "ADDED", "FREES", "POINTS", "VERIFIED", "RESTORED", "DUMPS"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(nights.iter().map(|night| {
        vec![
            night.container.clone(),
            night.pin.as_ref().map_or(state(night.state).to_owned(), |_| format!("{} {PINNED}", state(night.state))),
            night.databases.join(","),
            night.shards.to_string(),
            size(night.bytes),
            night.added_bytes.map_or("-".to_owned(), size),
            night.freed_bytes.map_or("-".to_owned(), size),
            night.points.map_or("-".to_owned(), |points| points.to_string()),
            verified(night),
            night.restored.first().map_or("-".to_owned(), |last| format!("{} {}", last.host, day(last.finished))),
            night.dumps.to_string(),
        ]
    }));
    let mut text = aligned(&rows, &[3, 4, 5, 6, 7, 10]);
    for night in nights {
        if let Some(why) = &night.why {
            text.push_str(&format!("{}: {why}\n", night.container));
        }
        if let Some(pin) = &night.pin {
            let (container, since) = (&night.container, day(pin.since));
            text.push_str(&format!("{PINNED} {container}: pinned since {since}: {}\n", pin.reason));
        }
    }
    text
}

/// Everything about a night.
pub(super) fn night(night: &Night) -> String {
    let mut text = format!("{}: {}", night.container, state(night.state));
    if let Some(why) = &night.why {
        text.push_str(&format!(", {why}"));
    }
    text.push('\n');
    if let Some(sealed) = night.sealed {
        match night.adopted {
            None => text.push_str(&format!("sealed     {}\n", time(sealed))),
            Some(adopted) => text.push_str(&format!("stored     {}, adopted {}\n", time(sealed), time(adopted))),
        }
        text.push_str(&format!("databases  {}\n", night.databases.join(", ")));
        text.push_str(&format!("holds      {} shards, {} bytes ({})", night.shards, night.bytes, size(night.bytes)));
        text.push_str(
            &night.points.map_or("; nobody looked into them\n".to_owned(), |points| format!(", {points} points\n")),
        );
        if let Some((added, freed)) = night.added_bytes.zip(night.freed_bytes) {
            let (of_added, of_freed) = (size(added), size(freed));
            let frees = format!("deleting it would free {freed} bytes ({of_freed})");
            text.push_str(&format!("added      {added} bytes ({of_added}) that no earlier night has; {frees}\n"));
        }
        text.push_str(&format!("verified   {}\n", verified(night)));
    }
    if let Some(pin) = &night.pin {
        text.push_str(&format!("pinned     since {}: {}\n", time(pin.since), pin.reason));
    }
    for restored in &night.restored {
        let proof = match restored.proven {
            None => "nothing was counted",
            Some(true) => "every point counted",
            Some(false) => "points differ: see its record",
        };
        text.push_str(&format!("restored   {} onto {}, {proof}\n", time(restored.finished), restored.host));
    }
    let Some(details) = &night.details else { return text };
    let section = |text: &mut String, heads: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]| {
        if !rows.is_empty() {
            let heads = heads.iter().map(|head| (*head).to_owned()).collect();
            text.push('\n');
            text.push_str(&aligned(&[vec![heads], rows].concat(), numbers));
        }
    };
    let measurements = details.measurements.iter().map(|it| {
        let range = it.first.zip(it.last).map(|(first, last)| vec![time(first), time(last)]);
        [
            vec![it.database.clone(), it.retention_policy.clone(), it.measurement.clone(), it.points.to_string()],
            range.unwrap_or_default(),
        ]
        .concat()
    });
    let heads = ["DATABASE", "POLICY", "MEASUREMENT", "POINTS", "FIRST", "LAST"];
    section(&mut text, &heads, measurements.collect(), &[3]);
    let dumps = details.dumps.iter().map(|it| {
        let complete = if it.open { format!("open, until {}", time(it.covered_until)) } else { "complete".to_owned() };
        let object =
            it.object.clone().unwrap_or_else(|| format!("{}.{}.{}", it.database, it.retention_policy, it.measurement));
        vec![object, it.records.to_string(), it.bytes.to_string(), complete]
    });
    section(&mut text, &["DUMP", "RECORDS", "BYTES", "STATE"], dumps.collect(), &[1, 2]);
    let objects = details.objects.iter().map(|it| vec![it.name.clone(), it.bytes.to_string()]);
    section(&mut text, &["OBJECT", "BYTES"], objects.collect(), &[1]);
    for warning in &details.warnings {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    text
}

fn state(state: State) -> &'static str {
    match state {
        State::BackingUp => "backing up",
        State::Ready => "ready",
        State::Error => "error",
        State::Unsealed => "unsealed",
        State::Deleting => "deleting",
        State::Deleted => "deleted",
        State::DumpsOnly => "dumps only",
    }
}

fn verified(night: &Night) -> String {
    let Some(verified) = &night.verified else { return "-".to_owned() };
    let part = verified.slices.map(|of| format!(" 1/{of}")).unwrap_or_default();
    let outcome = match (verified.damaged, verified.unchecked) {
        (0, 0) => String::new(),
        (0, unchecked) => format!(", {unchecked} not looked at"),
        (damaged, _) => format!(", {damaged} DAMAGED"),
    };
    format!("{}{part} {}{outcome}", verified.extent, day(verified.finished))
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Bytes in the largest unit of which there is one at least.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut shown = format!("{bytes} B");
    let mut amount = bytes as f64;
    for unit in units {
        amount /= 1024.0;
        if amount < 1.0 {
            break;
        }
        shown = format!("{amount:.1} {unit}");
    }
    shown
}

/// Cells below each other; those of the columns in `numbers` end together.
fn aligned(rows: &[Vec<String>], numbers: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |cell: &str| cell.chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - width(cell));
            let gap = if column == 0 { "" } else { GAP };
            line.push_str(&match numbers.contains(&column) {
                true => format!("{gap}{padding}{cell}"),
                false => format!("{gap}{cell}{padding}"),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_largest_unit_of_which_there_is_one() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (bytes, shown) in table {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn cells_stand_below_each_other_and_numbers_end_together() {
        let rows = [["NIGHT", "SHARDS"], ["é", "7"], ["abcdef", "12"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, &[1]), "NIGHT   SHARDS\né            7\nabcdef      12\n");
    }
}
