//! Backups and prunes at the same time, on a store in memory: any of them may have the next turn before each operation on the
//! store, and may be killed there. What a manifest names is there at every moment, and what none names goes.
//!
//! The code under test is the pool's own ([`archive::pool`]); only the steps between which it is called are written down here
//! once more, as short as they can be.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod memory;
mod model;

use std::collections::BTreeSet;

use model::{GRACE, Model, Plan};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How many interleavings are tried.
fn rounds() -> u64 {
    std::env::var("NIGHTSHARD_TEST_INTERLEAVINGS").ok().map_or(100_000, |rounds| rounds.parse().unwrap())
}

/// One interleaving: a history of some nights, and then up to six programs at once.
fn interleave(seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    // Listings lag by less than half the grace period, as the rules of the pool want.
    let lag = if random.random_bool(0.5) { 0 } else { random.random_range(0..GRACE / 2 - GRACE / 20) };
    let mut model = Model::new(lag, seed);
    for night in 0..random.random_range(1..3) {
        model.alone(Plan::Backup { night, shards: shards(&mut random) });
        model.pass(random.random_range(0..GRACE / 4));
    }
    for _ in 0..random.random_range(1..4) {
        let programs = random.random_range(2..5);
        let plans = (0..programs).map(|_| match random.random_range(0..5) {
            0..=2 => Plan::Backup { night: random.random_range(0..6), shards: shards(&mut random) },
            3 => Plan::Delete { night: random.random_range(0..6) },
            _ => Plan::Collect,
        });
        let plans: Vec<Plan> = plans.collect();
        model.together(plans, &mut random);
        if random.random_bool(0.5) {
            model.pass(random.random_range(0..GRACE * 2));
        }
    }
    // Two prunes past the grace period, and nobody beside them.
    for _ in 0..2 {
        model.pass(GRACE + 1);
        model.alone(Plan::Collect);
    }
    model.pass(GRACE + 1);
    model.alone(Plan::Collect);
    model.only_named_objects_are_left();
    model.operations()
}

fn shards(random: &mut StdRng) -> BTreeSet<usize> {
    (0..random.random_range(1..4)).map(|_| random.random_range(0..model::SHARDS)).collect()
}

#[test]
fn whatever_comes_between_nothing_named_is_lost_and_everything_unnamed_goes() {
    let rounds = rounds();
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get() as u64);
    let operations: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || (worker..rounds).step_by(usize::try_from(threads).unwrap()).map(one).sum::<u64>())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    println!("{rounds} interleavings, {operations} operations on the store");
}

/// Says which one it was that failed.
fn one(seed: u64) -> u64 {
    let tried = std::panic::catch_unwind(|| interleave(seed));
    tried.unwrap_or_else(|_| panic!("it was the interleaving with seed {seed}"))
}
