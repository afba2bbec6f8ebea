//! By which way a restore goes, and how much it proves.

use clap::ValueEnum;

/// By which way a restore goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// By the target's files, while it is stopped.
    Offline,
    /// By its snapshot service, while it runs.
    Online,
}

impl From<Mode> for jobs::restore::Mode {
    fn from(mode: Mode) -> jobs::restore::Mode {
        match mode {
            Mode::Offline => jobs::restore::Mode::Offline,
            Mode::Online => jobs::restore::Mode::Online,
        }
    }
}

/// How much a restore counts afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prove {
    /// Every point.
    All,
    /// The newest day of each retention policy, and one in ten others.
    Sample,
    /// Nothing.
    None,
}

impl From<Prove> for jobs::restore::Prove {
    fn from(prove: Prove) -> jobs::restore::Prove {
        match prove {
            Prove::All => jobs::restore::Prove::All,
            Prove::Sample => jobs::restore::Prove::Sample,
            Prove::None => jobs::restore::Prove::None,
        }
    }
}
