//! The other programs of the row, for one that looks after them: where they are, and what they see of the configuration.

use clap::{CommandFactory, FromArgMatches, Parser};
use jobs::check::Program;

use crate::door::Context;
use crate::environment::Environment;
use crate::exit::Failure;
use crate::file::PROGRAMS;
use crate::layers::{self, Parsed};
use crate::options::{Common, Source, Target};

/// What several programs understand, as one of them sees it: its table of the file counts, and what was given to the program
/// that asks.
#[derive(Debug, Parser)]
pub struct Neighbour {
    /// The InfluxDB that is backed up.
    #[command(flatten)]
    pub source: Source,
    /// The intermediary.
    #[command(flatten)]
    pub target: Target,
    /// What every program understands.
    #[command(flatten)]
    pub common: Common,
}

impl Neighbour {
    /// Reads the options of a program of this name.
    ///
    /// # Errors
    ///
    /// When a value cannot be used, as the program itself would say.
    pub fn of(name: &'static str, context: &Context) -> Result<Neighbour, Failure> {
        let failed = |error: clap::Error| Failure::failed(error.to_string());
        match layers::parse_for(&Neighbour::command().name(name), &Neighbour::environment(context))? {
            Parsed::Run(run) => Neighbour::from_arg_matches(&run.matches).map_err(failed),
            Parsed::Text(text) => Err(Failure::failed(text)),
        }
    }

    /// The environment that a program would have.
    #[must_use]
    pub fn environment(context: &Context) -> Environment {
        context.environment.with(&context.given)
    }
}

/// All programs but the one that asks, each expected beside it.
///
/// # Errors
///
/// When the place of this program is not known.
pub fn neighbours(context: &Context) -> Result<Vec<Program>, Failure> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot tell where this program is: {error}")))?;
    let others = PROGRAMS.into_iter().filter(|name| context.place.writer.program != format!("nightshard-{name}"));
    Ok(others.map(|name| Program { name, path: this.with_file_name(format!("nightshard-{name}")) }).collect())
}
