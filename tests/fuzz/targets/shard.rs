//! See [`nightshard_fuzz::shard`].

#![no_main]

nightshard_fuzz::target!(shard);
