//! Joining: the blocks of a shard's files become the points that InfluxDB shows.
//!
//! Files are read in ascending order of their names. What a file's own tombstone covers is dropped, and of several points
//! of one key at the same time the one of the latest file is shown; within a file, that of the later block.

use crate::Points;

/// Which file each of a shard's TSM files is, and which one its tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Place of the TSM file in the list.
    pub tsm: usize,
    /// Place of its tombstone, if it has one.
    pub tombstone: Option<usize>,
}

/// The TSM files among the files of a shard, in the order in which they are joined, each with its tombstone.
///
/// Other files are left out; so is a tombstone whose TSM file is not there. Of a file that comes twice, which the snapshot
/// service can do, the later one counts.
#[must_use]
pub fn members<N: AsRef<str>>(names: &[N]) -> Vec<Member> {
    let find = |base: &str, ending: &str| {
        names.iter().rposition(|name| name.as_ref().strip_suffix(ending).is_some_and(|stem| stem == base))
    };
    let mut bases: Vec<&str> = names.iter().filter_map(|name| name.as_ref().strip_suffix(".tsm")).collect();
    bases.sort_unstable();
    bases.dedup();
    let member = |base: &str| Some(Member { tsm: find(base, ".tsm")?, tombstone: find(base, ".tombstone") });
    bases.into_iter().filter_map(member).collect()
}

/// Joins the points of one key. Of points at the same time the one in the later piece stays.
///
/// What comes back is in order of time throughout, and neighbours have either different types or come from different
/// pieces: pieces that no other one touches are passed on as they are. None of them is empty.
#[must_use]
pub fn join(pieces: Vec<Points>) -> Vec<Points> {
    let mut pieces: Vec<(usize, Points)> = pieces.into_iter().filter(|piece| !piece.is_empty()).enumerate().collect();
    pieces.sort_by_key(|(_, piece)| piece.times.first().copied());
    let mut joined = Vec::with_capacity(pieces.len());
    let mut together: Vec<(usize, Points)> = Vec::new();
    let mut last = i64::MIN;
    for piece in pieces {
        if piece.1.times.first().is_some_and(|first| *first > last) {
            merge(&mut together, &mut joined);
        }
        last = last.max(piece.1.times.last().copied().unwrap_or(last));
        together.push(piece);
    }
    merge(&mut together, &mut joined);
    joined
}

/// One point of one piece.
#[derive(Clone, Copy)]
struct Place {
    piece: usize,
    index: usize,
}

/// Merges pieces that touch each other, and leaves none of them.
fn merge(together: &mut Vec<(usize, Points)>, joined: &mut Vec<Points>) {
    if together.len() < 2 {
        joined.extend(together.drain(..).map(|(_, piece)| piece));
        return;
    }
    // The later piece comes first, and of points at one time the first is taken.
    together.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let mut places: Vec<(i64, Place)> = Vec::with_capacity(together.iter().map(|(_, piece)| piece.len()).sum());
    for (number, (_, piece)) in together.iter().enumerate() {
        places.extend(piece.times.iter().enumerate().map(|(index, time)| (*time, Place { piece: number, index })));
    }
    // Pieces are in order already, which this sort makes use of, and a stable one keeps the later piece before.
    places.sort_by_key(|(time, _)| *time);
    places.dedup_by_key(|(time, _)| *time);

    let mut runs = places.iter().map(|(_, place)| *place).peekable();
    let mut current: Option<Points> = None;
    while let Some(begins) = runs.next() {
        let Some((_, piece)) = together.get(begins.piece) else { continue };
        let mut ends = begins.index.saturating_add(1);
        while runs.next_if(|next| next.piece == begins.piece && next.index == ends).is_some() {
            ends = ends.saturating_add(1);
        }
        let kind = piece.values.kind();
        if current.as_ref().is_some_and(|current| current.values.kind() != kind) {
            joined.extend(current.take());
        }
        current.get_or_insert_with(|| Points::empty(kind)).append(piece, begins.index..ends);
    }
    joined.extend(current);
    together.clear();
}
