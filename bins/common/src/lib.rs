//! What all doors share: flags, configuration, logging, exit codes, the clock.
//!
//! A door (a file in `bins/`) declares its options with clap and says which job they are for; [`open`] does the
//! rest. Clock, environment and command line are read here and nowhere else, and what is printed is printed here.

mod bars;
mod confirm;
mod connect;
mod door;
mod environment;
mod exit;
mod file;
mod help;
mod layers;
mod log;
mod manual;
mod neighbour;
mod openstack;
mod options;
mod output;
mod print_config;
mod telling;
mod time_zone;
mod values;

pub use archive::{Date, Dates, Reason, Sample};
pub use connect::Connected;
pub use door::{Context, Door, Report, open};
pub use environment::Environment;
pub use exit::{Code, Failure};
pub use neighbour::{Neighbour, neighbours};
pub use options::{
    Archive, Cache, Common, General, Influxd, Keep, KeepDumps, LogFormat, Mode, Pages, Prove, Reading, Sharing, Source,
    Target, Telling, Verify,
};
pub use output::stream;
pub use time_zone::machine_time_zone;
pub use values::{ArchiveUrl, Limit, Secret, ValueError, duration};
