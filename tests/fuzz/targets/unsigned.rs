//! See [`nightshard_fuzz::unsigned`].

#![no_main]

nightshard_fuzz::target!(unsigned);
