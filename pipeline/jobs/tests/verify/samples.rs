//! A part of the night each day.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jobs::verify::{Config, Extent, Which};
use jobs::{Event, Progress};

use super::bench::{Bench, NIGHT};

/// The names of the objects that were looked at.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

impl Progress for Names {
    fn report(&self, event: Event<'_>) {
        if let Event::Done { name, .. } = event {
            self.0.lock().unwrap().push(name.to_owned());
        }
    }
}

#[tokio::test]
async fn in_seven_days_each_object_of_each_night_is_read_once() {
    let (bench, source) = Bench::with_shards(9).await;
    bench.back_up(&source, "2016-06-10").await;
    for (extent, nights) in [
        (Extent::Quick, Which::Dates(NIGHT.parse().unwrap())),
        (Extent::Digests, Which::All),
        (Extent::Deep, Which::All),
    ] {
        let objects = if nights == Which::All { 20 } else { 10 };
        let mut read: BTreeMap<String, u32> = BTreeMap::new();
        let mut days = Vec::new();
        for day in 0..7 {
            let config = Config { sample: Some("1/7".parse().unwrap()), nights, ..bench.config(extent) };
            let names = Arc::new(Names::default());
            let progress = Arc::<Names>::clone(&names);
            let outcome = bench.verify_later(config, day, progress).await.unwrap();
            let names = names.0.lock().unwrap().clone();
            assert_eq!(outcome.objects, names.len() as u64);
            days.push(names.len());
            names.into_iter().for_each(|name| *read.entry(name).or_default() += 1);
        }
        assert_eq!(read.len(), objects, "{read:?}");
        assert!(read.values().all(|times| *times == 1), "{read:?}");
        assert!(days.iter().all(|looked| *looked < objects), "{days:?}");
    }
}

#[tokio::test]
async fn what_is_damaged_in_another_slice_waits_for_its_day() {
    let (bench, _source) = Bench::with_shards(6).await;
    for id in 1..=6 {
        bench.damage(&super::bench::shard(id), |bytes| bytes[700] ^= 1);
    }
    let mut found = 0;
    for day in 0..3 {
        let config = Config { sample: Some("1/3".parse().unwrap()), ..bench.config(Extent::Digests) };
        let outcome = bench.verify_later(config, day, Arc::new(())).await.unwrap();
        let slice = outcome.slice.unwrap();
        assert_eq!(slice.of, 3);
        assert!(outcome.summary().contains(&slice.to_string()), "{}", outcome.summary());
        found += outcome.nights[0].damages.len();
    }
    assert_eq!(found, 6);
}
