//! See [`nightshard_fuzz::float`].

#![no_main]

nightshard_fuzz::target!(float);
