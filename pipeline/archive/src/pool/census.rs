//! What each night added to the archive, and what would go with it alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};

use super::names::PoolName;

/// Nights that are counted in any order. It holds some forty bytes for each object of the pool, however many nights name it.
#[derive(Debug, Default)]
pub struct Census {
    nights: Vec<Counted>,
    /// By as much of their names as is random, and then some.
    objects: HashMap<u128, Named>,
}

#[derive(Debug)]
struct Counted {
    container: String,
    sealed: DateTime<Utc>,
    own_bytes: u64,
}

/// An object of the pool.
#[derive(Debug)]
struct Named {
    bytes: u64,
    /// Number of the night that was sealed first of those that name it.
    first: u32,
    /// Number of the only one of them, or [`SEVERAL`].
    only: u32,
}

/// The number of no night.
const SEVERAL: u32 = u32::MAX;

/// What the archive holds because of a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contribution {
    /// Bytes that no night that was sealed before it names.
    pub added_bytes: u64,
    /// Bytes that no other night names.
    pub freed_bytes: u64,
}

impl Census {
    /// Counts a sealed night: the bytes that are not in the pool, and its objects in the pool, each with the bytes that it has
    /// of its own.
    pub fn count(
        &mut self,
        container: &str,
        sealed: DateTime<Utc>,
        own_bytes: u64,
        objects: impl IntoIterator<Item = (PoolName, u64)>,
    ) {
        let night = u32::try_from(self.nights.len()).unwrap_or(u32::MAX);
        self.nights.push(Counted { container: container.to_owned(), sealed, own_bytes });
        for (name, bytes) in objects {
            match self.objects.entry(name.fingerprint()) {
                Entry::Vacant(new) => {
                    new.insert(Named { bytes, first: night, only: night });
                }
                Entry::Occupied(mut known) => {
                    let named = known.get_mut();
                    // Two shards of one night may have a piece in common.
                    if named.only != night {
                        named.only = SEVERAL;
                    }
                    if is_before(&self.nights, night, named.first) {
                        named.first = night;
                    }
                }
            }
        }
    }

    /// What came of it, by container.
    #[must_use]
    pub fn contributions(self) -> HashMap<String, Contribution> {
        let own =
            self.nights.iter().map(|night| Contribution { added_bytes: night.own_bytes, freed_bytes: night.own_bytes });
        let mut of_night: Vec<Contribution> = own.collect();
        for named in self.objects.into_values() {
            let Some(first) = of_night.get_mut(named.first as usize) else { continue };
            first.added_bytes = first.added_bytes.saturating_add(named.bytes);
            if named.only == named.first {
                first.freed_bytes = first.freed_bytes.saturating_add(named.bytes);
            }
        }
        self.nights.into_iter().map(|night| night.container).zip(of_night).collect()
    }
}

/// Whether a night was sealed before another; of two at the same moment one has to be the first, whichever is counted first.
fn is_before(nights: &[Counted], one: u32, other: u32) -> bool {
    let order = |night: u32| nights.get(night as usize).map(|night| (night.sealed, &night.container));
    order(one) < order(other)
}

#[cfg(test)]
mod tests {
    use super::super::names::{piece_name, shard_name};
    use super::*;

    #[test]
    fn what_a_night_adds_and_frees_does_not_depend_on_the_order_in_which_nights_are_counted() {
        let name = |number: u8| -> PoolName { piece_name(&hex::encode([number; 32])).parse().unwrap() };
        let (all, two, old, new) = (name(1), name(2), name(3), name(4));
        let shard: PoolName = shard_name(&hex::encode([5; 32])).parse().unwrap();
        let nights = [
            // Sealed last, although its day is the first: it was replaced.
            ("2016-06-10", 30, 5, vec![(all, 100), (new, 7), (shard, 1), (new, 7)]),
            ("2016-06-11", 10, 6, vec![(all, 100), (two, 20), (old, 3)]),
            ("2016-06-12", 20, 0, vec![(two, 20), (all, 100)]),
            ("2016-06-13", 20, 9, vec![]),
        ];
        let told = |order: [usize; 4]| {
            let mut census = Census::default();
            for (container, sealed, own, objects) in order.map(|night| nights[night].clone()) {
                census.count(container, DateTime::from_timestamp(sealed, 0).unwrap(), own, objects);
            }
            let mut told: Vec<_> = census.contributions().into_iter().collect();
            told.sort_by(|one, other| one.0.cmp(&other.0));
            told.into_iter().map(|(_, it)| (it.added_bytes, it.freed_bytes)).collect::<Vec<_>>()
        };
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            assert_eq!(told(order), [(5 + 7 + 1, 5 + 7 + 1), (6 + 123, 6 + 3), (0, 0), (9, 9)], "{order:?}");
        }
    }
}
