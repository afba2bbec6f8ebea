//! See [`nightshard_fuzz::key`].

#![no_main]

nightshard_fuzz::target!(key);
