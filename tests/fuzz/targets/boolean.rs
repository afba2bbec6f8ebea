//! See [`nightshard_fuzz::boolean`].

#![no_main]

nightshard_fuzz::target!(boolean);
