//! The series of a measurement in a window, as the indexes of some files have them.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use tsm::{JoinedKey, Keys, key};

use super::batch::{Block, Stream};
use super::indexes::{Opened, damaged};
use crate::Error;

/// A series, and where its points are.
#[derive(Debug)]
pub(super) struct Found {
    /// As the file has it.
    raw: Vec<u8>,
    /// In the order of the file.
    pub(super) tags: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) streams: Vec<Stream>,
}

/// Gives every series of the measurement to `take`, with those of its fields that have blocks in the window, until it has
/// had enough. Memory is that of one series.
pub(super) fn series(
    files: &[Arc<Opened>],
    measurement: &[u8],
    window: [i64; 2],
    mut take: impl FnMut(Found) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut keys = keys(files)?;
    let mut current: Option<Found> = None;
    while let Some(found) = next(&mut keys, files)? {
        // All fields of a series stand together, since no series has the separator in it.
        let Some((series, field)) = key::split(&found.key) else { continue };
        if key::measurement(series) != measurement {
            continue;
        }
        let stream = stream(found, field, files, window);
        if stream.blocks.is_empty() {
            continue;
        }
        match &mut current {
            Some(current) if current.raw == series => current.streams.push(stream),
            _ => {
                let parsed = key::series(series).map_err(|fault| {
                    let Opened { stored, .. } = &*files[found.parts[0].file];
                    damaged(&stored.object, &stored.file.name, &format!("key {:?}: {fault}", lossy(&found.key)))
                })?;
                let begun = Found { raw: series.to_vec(), tags: parsed.tags, streams: vec![stream] };
                if let Some(whole) = current.replace(begun)
                    && !take(whole)?
                {
                    return Ok(());
                }
            }
        }
    }
    current.map_or(Ok(()), |whole| take(whole).map(drop))
}

fn keys(files: &[Arc<Opened>]) -> Result<Keys<BufReader<File>>, Error> {
    Ok(Keys::new(files.iter().map(|file| file.index()).collect::<Result<_, _>>()?))
}

fn next<'a>(keys: &'a mut Keys<BufReader<File>>, files: &[Arc<Opened>]) -> Result<Option<&'a JoinedKey>, Error> {
    keys.next().map_err(|tsm::InFile { file, error }| {
        let Opened { stored, .. } = &*files[file];
        damaged(&stored.object, &stored.file.name, &error.to_string())
    })
}

fn stream(found: &JoinedKey, field: &[u8], files: &[Arc<Opened>], window: [i64; 2]) -> Stream {
    let mut stream = Stream { field: lossy(field), ..Stream::default() };
    for part in &found.parts {
        let wanted = part.entries.iter().filter(|entry| window[0] <= entry.last && entry.first < window[1]);
        let before = stream.blocks.len();
        stream.blocks.extend(wanted.map(|entry| Block {
            file: part.file,
            kind: part.kind,
            first: entry.first,
            last: entry.last,
            offset: entry.offset,
            size: entry.size,
        }));
        let tombstones = &files[part.file].tombstones;
        if before < stream.blocks.len() && !tombstones.is_empty() {
            let spans: Vec<[i64; 2]> = tombstones.ranges(&found.key).map(|(first, last)| [first, last]).collect();
            if !spans.is_empty() {
                stream.removed.push((part.file, spans));
            }
        }
    }
    stream
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
