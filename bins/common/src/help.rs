//! What `--help` says: on one screen what a program is for and what people use of it, with `--help-all` every option.

use clap::{Arg, ArgAction, Command};

use crate::{exit, layers};

/// Options of these groups are the same for many programs; most of them stand in a configuration file and nowhere else.
const SHARED: [&str; 6] =
    ["Archive", "General", "InfluxDB to read", "Intermediary InfluxDB", "influxd on this machine", "Telling others"];

/// Those of them that people do type, and the heading under which they stand together.
const COMMON: &str = "Common";
const TYPED: [&str; 7] = ["archive", "source", "target", "json", "quiet", "print_config", "label"];

/// The command with the parts of its help that all programs share.
pub(crate) fn complete(command: Command, examples: &str) -> Command {
    let program = command.get_name().to_owned();
    let command = command.mut_args(|argument| {
        let shared = argument.get_help_heading().is_some_and(|heading| SHARED.contains(&heading));
        match TYPED.contains(&argument.get_id().as_str()) {
            true if shared => argument.help_heading(COMMON),
            _ => {
                let hidden = shared || argument.is_hide_short_help_set();
                argument.hide_short_help(hidden)
            }
        }
    });
    let examples = format!("Examples:\n{}", examples.trim_matches('\n'));
    let status = exit::help();
    let more = format!("`{program} --help-all` shows every option, and where else they can be set.");
    let places = places(&program);
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading(COMMON);
    let version = flag("version").short('V').action(ArgAction::Version).help("Print version").hide_short_help(true);
    command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("help").short('h').action(ArgAction::HelpShort).help("Print this help"))
        .arg(version)
        .arg(flag("help-all").action(ArgAction::HelpLong).help("Print help on every option"))
        .after_help(format!("{examples}\n\n{status}\n{more}"))
        .after_long_help(format!("{examples}\n\n{places}\n\n{status}"))
}

/// What `--help-all` and the manual say of the other places of options.
pub(crate) fn places(program: &str) -> String {
    let table = layers::table(program);
    format!(
        "Every option with a value can also be set as NIGHTSHARD_… in the environment (--snapshot-addr: \
         NIGHTSHARD_SNAPSHOT_ADDR) and in the configuration file (snapshot_addr = \"…\", options of this program alone in \
         [{table}]). Flags beat the environment, that beats the file; --print-config shows the result. User and password of \
         InfluxDB are never flags.",
    )
}
