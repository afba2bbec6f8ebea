//! See [`nightshard_fuzz::tar`].

#![no_main]

nightshard_fuzz::target!(tar);
