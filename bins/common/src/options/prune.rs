//! Which nights stay, and which dumps.

use clap::Args;

use crate::values;

/// Which nights stay: each rule keeps some, and a night leaves that none of them keeps.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rules; without one all nights stay")]
pub struct Keep {
    /// So many of the newest nights
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_last: u32,
    /// The newest night of so many hours
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_hourly: u32,
    /// The newest night of so many days, not counting days without one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_daily: u32,
    /// The same of weeks
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_weekly: u32,
    /// The same of months
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_monthly: u32,
    /// The same of years
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_yearly: u32,
    /// All nights no older than so long before the newest, such as 30days
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    pub keep_within: Option<chrono::TimeDelta>,
}

/// Which dumps stay when `--dumps` is given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rules for dumps")]
pub struct KeepDumps {
    /// The dumps of so many of the newest nights that have some
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_dumps_last: u32,
    /// The dumps of so many days
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_daily: u32,
    /// The same of weeks
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_weekly: u32,
    /// The same of months
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_monthly: u32,
    /// The same of years
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_yearly: u32,
    /// All that are no older than so long before the newest
    #[arg(long, value_name = "DURATION", value_parser = values::span, hide_short_help = true)]
    pub keep_dumps_within: Option<chrono::TimeDelta>,
}

impl From<&Keep> for jobs::prune::Policy {
    fn from(keep: &Keep) -> jobs::prune::Policy {
        jobs::prune::Policy {
            last: keep.keep_last,
            hourly: keep.keep_hourly,
            daily: keep.keep_daily,
            weekly: keep.keep_weekly,
            monthly: keep.keep_monthly,
            yearly: keep.keep_yearly,
            within: keep.keep_within,
        }
    }
}

impl From<&KeepDumps> for jobs::prune::Policy {
    fn from(keep: &KeepDumps) -> jobs::prune::Policy {
        jobs::prune::Policy {
            last: keep.keep_dumps_last,
            hourly: 0,
            daily: keep.keep_dumps_daily,
            weekly: keep.keep_dumps_weekly,
            monthly: keep.keep_dumps_monthly,
            yearly: keep.keep_dumps_yearly,
            within: keep.keep_dumps_within,
        }
    }
}
