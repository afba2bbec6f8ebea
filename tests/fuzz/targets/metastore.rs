//! See [`nightshard_fuzz::metastore`].

#![no_main]

nightshard_fuzz::target!(metastore);
