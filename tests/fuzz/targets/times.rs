//! See [`nightshard_fuzz::times`].

#![no_main]

nightshard_fuzz::target!(times);
