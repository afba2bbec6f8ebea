//! What a program prints of itself for a package: its manual page, and completions for shells.
//!
//! A door is a program without a library, so nobody else can ask it for its options. `--generate FORM`, alone on the
//! command line, is no option of the night: no help names it, and it reads no configuration. What it prints depends on
//! the program alone, so that two builds of one source are the same bytes; the date of a page is that of
//! `SOURCE_DATE_EPOCH`, or none.

use std::ffi::OsString;
use std::io;

use chrono::DateTime;
use clap::Command;
use clap::builder::Resettable;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::environment::Environment;
use crate::exit::{self, Failure};
use crate::{file, help, layers};

const FORMS: [&str; 4] = ["man", "bash", "zsh", "fish"];

/// Where packages put what there is to read.
const DOCUMENTATION: &str = "/usr/share/doc/nightshard";

/// The variables that are not options, and what they are for.
const VARIABLES: [(&str, &str); 5] = [
    (
        "OS_CLOUD, OS_*, ST_AUTH, ST_USER, ST_KEY",
        "The account of swift:, as OpenStack's own tools take it: the name of a cloud in clouds.yaml; or a password, a token or \
         an application credential; or an account of version 1.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where systemd passes credentials: source_user, source_password, target_user and target_password are read there.",
    ),
    ("https_proxy, http_proxy, no_proxy", "A proxy on the way to the archive."),
    ("TZ", "The machine's time zone, where none is configured."),
    ("NO_COLOR", "Nothing is coloured where this is set."),
];

/// What was asked for, if it was: `arguments` begins with the program's name.
pub(crate) fn generated(
    command: &Command,
    examples: &str,
    arguments: &[OsString],
    environment: &Environment,
) -> Option<Result<String, Failure>> {
    let [_, flag, form] = arguments else { return None };
    if flag != "--generate" {
        return None;
    }
    let written = match form.to_str() {
        Some("man") => page(command, examples, environment),
        Some("bash") => completions(command, Shell::Bash),
        Some("zsh") => completions(command, Shell::Zsh),
        Some("fish") => completions(command, Shell::Fish),
        _ => {
            let message = format!("cannot use {:?} as --generate", form.display().to_string());
            return Some(Err(Failure::usage(message, format!("give one of {}", FORMS.join(", ")))));
        }
    };
    let text = written.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    // An empty line between two breaks, which mandoc complains of, is what man has a macro for.
    let text = text.map(|text| text.replace("\n.br\n\n.br\n", "\n.sp\n"));
    Some(text.map_err(|error| Failure::failed(format!("cannot write --generate {}: {error}", form.display()))))
}

fn completions(command: &Command, shell: Shell) -> io::Result<Vec<u8>> {
    // The generators offer hidden options too, which are no flags, and bash the names of positional arguments as words.
    let offered = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let offered = offered.filter(|argument| shell != Shell::Bash || !argument.is_positional());
    // It knows nothing of what excludes what either, which may be a positional argument.
    let offered = offered.cloned().map(|argument| match shell {
        Shell::Bash => argument.conflicts_with(Resettable::Reset).requires(Resettable::Reset),
        _ => argument,
    });
    let name = command.get_name().to_owned();
    let version = command.get_version().unwrap_or_default().to_owned();
    let mut shown =
        Command::new(name.clone()).version(version).disable_help_flag(true).disable_version_flag(true).args(offered);
    let mut bytes = Vec::new();
    shown.set_bin_name(name);
    shown.build();
    clap_complete::Generator::try_generate(&shell, &shown, &mut bytes)?;
    Ok(bytes)
}

/// The manual page: sections that follow from the options, and those that all programs share.
fn page(command: &Command, examples: &str, environment: &Environment) -> io::Result<Vec<u8>> {
    let program = command.get_name();
    let version = command.get_version().unwrap_or_default();
    // As in `--help`, nothing is required that another place may give, and the options need not be listed twice.
    // The page has what `--help-all` has.
    let mut relaxed = command.clone().mut_args(|argument| argument.required(false).hide_short_help(false));
    let usage = relaxed.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let manual = Man::new(relaxed.override_usage(usage))
        .date(date(environment))
        .source(format!("nightshard {version}"))
        .manual("Backups of InfluxDB");
    let mut bytes = Vec::new();
    manual.render_title(&mut bytes)?;
    manual.render_name_section(&mut bytes)?;
    manual.render_synopsis_section(&mut bytes)?;
    manual.render_description_section(&mut bytes)?;
    manual.render_options_section(&mut bytes)?;

    let mut roff = Roff::new();
    roff.control("SH", ["CONFIGURATION"]).text([roman(help::places(program))]);
    exit_status(&mut roff);
    examples_of(&mut roff, examples);
    files(&mut roff, command);
    variables(&mut roff, command);
    see_also(&mut roff, program);
    roff.to_writer(&mut bytes)?;
    Ok(bytes)
}

/// The day of `SOURCE_DATE_EPOCH`: <https://reproducible-builds.org/specs/source-date-epoch/>.
fn date(environment: &Environment) -> String {
    let seconds = environment.get("SOURCE_DATE_EPOCH").and_then(|seconds| seconds.parse().ok());
    let day = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    day.map_or_else(String::new, |day| day.format("%Y-%m-%d").to_string())
}

/// A term, and what it stands for.
fn term(roff: &mut Roff, term: Inline, meaning: &str) {
    roff.control("TP", []).text([term]).text([roman(meaning)]);
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::TABLE {
        term(roff, bold(code), meaning);
    }
}

/// The examples as `--help` has them: a command, and further to the right what it is for.
fn examples_of(roff: &mut Roff, examples: &str) {
    roff.control("SH", ["EXAMPLES"]);
    for line in examples.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("      ") {
            roff.text([roman(line.trim())]);
        } else {
            roff.control("TP", []).text([bold(line.trim())]);
        }
    }
}

fn files(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["FILES"]);
    let default = |id: &str| {
        let mut arguments = command.get_arguments().filter(|argument| argument.get_id() == id);
        let value = arguments.next().and_then(|argument| argument.get_default_values().first());
        value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let (locks, spool) = (default("locks"), default("spool"));
    for (path, what) in [
        (file::DEFAULT, "The configuration. Every option stands there with its default and a comment."),
        (
            "~/.config/openstack/clouds.yaml, /etc/openstack/clouds.yaml",
            "Accounts of OpenStack clouds, as OpenStack's own tools read them.",
        ),
        (locks.as_str(), "Locks, unless --locks names another folder."),
        (spool.as_str(), "Files on their way, unless --spool names another folder."),
        (DOCUMENTATION, "What else there is to read, and examples."),
    ] {
        term(roff, italic(path), what);
    }
}

fn variables(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["ENVIRONMENT"]);
    term(roff, bold("NIGHTSHARD_CONFIG"), "Another configuration file.");
    term(roff, bold("NIGHTSHARD_…"), "Every option with a value, as said above.");
    // What has no flag would be named nowhere else.
    for argument in command.get_arguments().filter(|argument| argument.is_hide_set()) {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let place = argument.get_help_heading().map_or_else(String::new, |heading| format!("{heading}: "));
        term(roff, bold(layers::variable(argument.get_id().as_str())), &format!("{place}{}.", help.to_lowercase()));
    }
    for (names, what) in VARIABLES {
        term(roff, bold(names), what);
    }
}

fn see_also(roff: &mut Roff, program: &str) {
    roff.control("SH", ["SEE ALSO"]);
    let others = file::PROGRAMS.map(|name| format!("nightshard-{name}"));
    let others: Vec<String> = others.into_iter().filter(|name| name != program).collect();
    let mut line = Vec::new();
    for name in &others {
        line.extend([bold(name.as_str()), roman("(1), ")]);
    }
    line.push(roman(format!("and {DOCUMENTATION}/README.md")));
    roff.text(line);
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction};

    use super::*;

    fn command() -> Command {
        let user = Arg::new("source_user").long("source-user").hide(true).help("Its user").help_heading("InfluxDB");
        Command::new("nightshard-list")
            .version("1.2.3")
            .about("List the nights")
            .arg(Arg::new("date").value_name("DATE"))
            .arg(
                Arg::new("locks")
                    .long("locks")
                    .value_name("DIR")
                    .default_value("/run/lock")
                    .help("It's the locks' folder"),
            )
            .arg(Arg::new("by").long("by").value_parser(["day", "size"]).help("Order").hide_short_help(true))
            .arg(Arg::new("spool").long("spool").value_name("DIR").default_value("/var/tmp"))
            .arg(Arg::new("help").long("help").action(ArgAction::HelpShort).help("Print help"))
            .arg(user)
            .disable_help_flag(true)
    }

    fn generate(arguments: &[&str], environment: &Environment) -> Option<Result<String, Failure>> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        generated(&command(), "\n  nightshard-list --match 'a\\b'\n      what for", &arguments, environment)
    }

    #[test]
    fn a_page_has_all_its_sections_and_is_the_same_each_time() {
        let environment = Environment::from_iter([("SOURCE_DATE_EPOCH", "1465646400")]);
        let page = generate(&["nightshard-list", "--generate", "man"], &environment).unwrap().unwrap();
        for part in [
            ".TH nightshard-list 1 2016-06-11 \"nightshard 1.2.3\"",
            "\n.SH NAME\nnightshard\\-list \\- List the nights\n",
            "\n.SH SYNOPSIS\n\\fBnightshard\\-list\\fR [OPTIONS] [DATE]\n",
            "\n.SH OPTIONS\n",
            "\nOrder\n.sp\n\\fIPossible values:\\fR\n",
            "\n.SH CONFIGURATION\n",
            "\n.SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone, or nothing to do\n",
            "\n.SH EXAMPLES\n.TP\n\\fBnightshard\\-list \\-\\-match \\*(Aqa\\\\b\\*(Aq\\fR\nwhat for\n",
            "\n.SH FILES\n",
            "\\fI/run/lock\\fR\n",
            "\n.SH ENVIRONMENT\n",
            "\\fBNIGHTSHARD_SOURCE_USER\\fR\nInfluxDB: its user.\n",
            "\n.SH \"SEE ALSO\"\n\\fBnightshard\\-backup\\fR(1), ",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(!page.contains("\\fBnightshard\\-list\\fR(1)"), "a page does not name itself:\n{page}");
        assert!(!page.contains("source\\-user"), "there is no such flag:\n{page}");
        assert_eq!(page, generate(&["nightshard-list", "--generate", "man"], &environment).unwrap().unwrap());
    }

    #[test]
    fn completions_offer_what_the_help_offers() {
        for shell in ["bash", "zsh", "fish"] {
            let text = generate(&["nightshard-list", "--generate", shell], &Environment::default()).unwrap().unwrap();
            assert!(text.contains("nightshard-list") && text.contains("locks"), "{text}");
            assert!(!text.contains("source-user"), "{shell} offers what is no flag:\n{text}");
            assert!(shell != "bash" || !text.contains("[DATE]"), "{text}");
        }
    }

    #[test]
    fn only_those_two_words_ask_for_it() {
        for arguments in [&["x"][..], &["x", "--generate"], &["x", "--generate", "man", "y"], &["x", "--date", "man"]] {
            assert!(generate(arguments, &Environment::default()).is_none(), "{arguments:?}");
        }
        let failure = generate(&["x", "--generate", "html"], &Environment::default()).unwrap().unwrap_err();
        assert_eq!(failure.code, exit::Code::Usage);
        assert_eq!(failure.hint.as_deref(), Some("give one of man, bash, zsh, fish"));
    }
}
