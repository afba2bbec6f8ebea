//! See [`nightshard_fuzz::integer`].

#![no_main]

nightshard_fuzz::target!(integer);
