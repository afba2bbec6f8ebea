//! Tars of shards.

use tsm::tar::{Entry, Event, Walker, list};

/// A tar is the same in one piece and in many.
pub fn tar(bytes: &[u8]) {
    let whole = walk(bytes, bytes.len().max(1));
    assert_eq!(walk(bytes, 7).is_ok(), whole.is_ok());
    if let Ok(entries) = &whole {
        assert_eq!(walk(bytes, 513).as_ref(), Ok(entries));
        let listed: Vec<Entry> = list(bytes).unwrap();
        assert!(listed.iter().eq(entries.iter().map(|(entry, _)| entry)));
    }
}

/// Entries, each with how many bytes came of it.
fn walk(bytes: &[u8], step: usize) -> Result<Vec<(Entry, u64)>, ()> {
    let mut walker = Walker::new();
    let mut entries: Vec<(Entry, u64)> = Vec::new();
    for piece in bytes.chunks(step) {
        walker
            .feed(piece, |event| match event {
                Event::Entry(entry) => entries.push((entry.clone(), 0)),
                Event::Data(data) => entries.last_mut().unwrap().1 += data.len() as u64,
                Event::End => {
                    let (entry, came) = entries.last().unwrap();
                    assert_eq!(entry.bytes, *came);
                }
            })
            .map_err(drop)?;
    }
    let length = walker.finish().map_err(drop)?;
    assert_eq!(length, bytes.len() as u64);
    Ok(entries)
}
