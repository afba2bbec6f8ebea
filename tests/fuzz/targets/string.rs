//! See [`nightshard_fuzz::string`].

#![no_main]

nightshard_fuzz::target!(string);
