//! See [`nightshard_fuzz::index`].

#![no_main]

nightshard_fuzz::target!(index);
