//! See [`nightshard_fuzz::tombstone`].

#![no_main]

nightshard_fuzz::target!(tombstone);
