//! Which of five places wins, and what is said of a value that cannot be used.

use clap::{CommandFactory, Parser};

use super::*;
use crate::options::{Common, Source};

/// A program such as the doors declare them.
#[derive(Debug, Parser)]
#[command(name = "nightshard-backup")]
struct Program {
    /// Several
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// A number
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Needed
    #[arg(required = true)]
    measurement: Vec<String>,
    /// A switch
    #[arg(long)]
    if_missing: bool,
    #[command(flatten)]
    _source: Source,
    #[command(flatten)]
    _common: Common,
}

/// A file, an environment and a folder of credentials.
struct Case {
    folder: test_support::TempDir,
    environment: Vec<(String, String)>,
}

impl Case {
    fn new(file: &str, environment: &str) -> Case {
        let folder = test_support::temp_dir();
        std::fs::write(folder.path().join("n.toml"), file).unwrap();
        let pairs = environment.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        let mut environment: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        environment.push(("NIGHTSHARD_CONFIG".to_owned(), folder.path().join("n.toml").display().to_string()));
        environment.push(("CREDENTIALS_DIRECTORY".to_owned(), folder.path().display().to_string()));
        Case { folder, environment }
    }

    fn parse(&self, flags: &str) -> Result<Parsed, Failure> {
        let arguments: Vec<OsString> =
            ["nightshard-backup"].into_iter().chain(flags.split_whitespace()).map(OsString::from).collect();
        parse(&Program::command(), &arguments, &self.environment.iter().cloned().collect())
    }

    /// A setting as `value from origin`, the folder left out.
    fn setting(&self, flags: &str, key: &str) -> String {
        match self.parse(flags) {
            Ok(Parsed::Run(run)) => {
                let setting = run.settings.into_iter().find(|setting| setting.key == key).unwrap();
                let text = format!("{} from {}", setting.values.join("+"), setting.origin);
                text.replace(&format!("{}/", self.folder.path().display()), "")
            }
            Ok(Parsed::Text(text)) => text,
            Err(failure) => panic!("{flags}: {failure}"),
        }
    }
}

#[test]
fn flags_beat_the_environment_that_beats_the_file_and_that_the_default() {
    let file = "[backup]\njobs = 3\ndatabase = ['x', 'y']\nmeasurement = 'cpu'";
    let table = [
        // flags, environment, file, key, outcome
        ("m --jobs 1", "NIGHTSHARD_JOBS=2", file, "jobs", "1 from command line"),
        ("m --jobs=1", "", "", "jobs", "1 from command line"),
        ("m", "NIGHTSHARD_JOBS=2", file, "jobs", "2 from NIGHTSHARD_JOBS"),
        ("m", "", file, "jobs", "3 from n.toml"),
        ("m", "", "", "jobs", "4 from default"),
        ("m --database a --database b", "NIGHTSHARD_DATABASE=c", file, "database", "a+b from command line"),
        ("m", "NIGHTSHARD_DATABASE=c", file, "database", "c from NIGHTSHARD_DATABASE"),
        ("m", "", file, "database", "x+y from n.toml"),
        ("m", "", "", "database", " from default"),
        // An argument that must be there may come from below, and without a name of its own.
        ("", "", file, "measurement", "cpu from n.toml"),
        ("load mem", "", file, "measurement", "load+mem from command line"),
        ("", "NIGHTSHARD_MEASUREMENT=disk", file, "measurement", "disk from NIGHTSHARD_MEASUREMENT"),
        // An empty variable is none.
        ("m", "NIGHTSHARD_JOBS=", "", "jobs", "4 from default"),
        // The machine's zone lies below the file.
        ("m", "TZ=Asia/Tokyo", "", "timezone", "Asia/Tokyo from TZ"),
        ("m", "TZ=Asia/Tokyo", "timezone = 'UTC'", "timezone", "UTC from n.toml"),
        ("m", "TZ=Nowhere", "timezone = 'UTC'", "timezone", "UTC from n.toml"),
        (
            "m",
            "NIGHTSHARD_SOURCE_PASSWORD=p",
            "source_password = 'q'",
            "source_password",
            "p from NIGHTSHARD_SOURCE_PASSWORD",
        ),
    ];
    for (flags, environment, file, key, outcome) in table {
        assert_eq!(Case::new(file, environment).setting(flags, key), outcome, "{flags} | {environment} | {file}");
    }
}

#[test]
fn systemds_credentials_are_for_users_and_passwords_and_beat_the_file() {
    let case = Case::new("source_password = 'q'", "");
    std::fs::write(case.folder.path().join("source_password"), "from systemd\n").unwrap();
    std::fs::write(case.folder.path().join("jobs"), "9").unwrap();
    assert_eq!(case.setting("m", "source_password"), "from systemd from source_password");
    assert_eq!(case.setting("m", "jobs"), "4 from default");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place_and_a_hint() {
    let table = [
        ("m --jobs 0", "", "", "cannot use \"0\" as --jobs: 0 is not in 1..=255", "--help"),
        ("m", "NIGHTSHARD_JOBS=x", "", "cannot use \"x\" as jobs (NIGHTSHARD_JOBS)", "--help"),
        ("m", "", "[backup]\njobs = 1000", "n.toml): 1000 is not in 1..=255", "--help"),
        ("", "", "", "<MEASUREMENT>... is missing", "give MEASUREMENT, set NIGHTSHARD_MEASUREMENT"),
        ("m --source-password x", "", "", "--source-password is not taken", "set NIGHTSHARD_SOURCE_PASSWORD"),
        ("m --source-user x", "", "", "--source-user is not taken", "set NIGHTSHARD_SOURCE_USER"),
        ("m --datbase x", "", "", "there is no option --datbase", "did you mean --database?"),
        ("m --jobs 1 --jobs 2", "", "", "--jobs is given twice", "give it once"),
        ("m --jobs", "", "", "--jobs needs a value", "--help"),
        ("m -q -v", "", "", "exclude each other", "give one of them"),
        ("m --log-format xml", "", "", "cannot use \"xml\" as --log-format", "give one of text, json"),
        ("m", "NIGHTSHARD_ARCHIVE=s3:x", "", "as archive (NIGHTSHARD_ARCHIVE): the scheme s3:", "give swift:"),
        ("m", "", "container = '%Y'", "gives several days the same name", "use text with %Y, %m and %d"),
        ("m", "", "[backup]\nif_missing = true", "unknown key if_missing in [backup]", ""),
        ("m", "TZ=Nowhere", "", "the time zone \"Nowhere\" of TZ is not known", "--timezone"),
        ("m --config /nowhere", "", "", "cannot read the configuration /nowhere", "--config or NIGHTSHARD_CONFIG"),
    ];
    for (flags, environment, file, message, hint) in table {
        let failure = Case::new(file, environment).parse(flags).unwrap_err();
        assert_eq!(failure.code, crate::Code::Usage, "{flags}");
        assert!(failure.message.contains(message), "{flags} | {environment} | {file}: {}", failure.message);
        assert!(failure.hint.as_deref().unwrap().contains(hint), "{flags}: {:?}", failure.hint);
    }
}

#[test]
fn a_password_in_a_file_that_everybody_reads_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let warnings = |file: &str, mode: u32| {
        let case = Case::new(file, "");
        let path = case.folder.path().join("n.toml");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match case.parse("m").unwrap() {
            Parsed::Run(run) => run.warnings.len(),
            Parsed::Text(text) => panic!("{text}"),
        }
    };
    assert_eq!(warnings("source_password = 'q'", 0o644), 1);
    assert_eq!(warnings("[backup]\nsource_password = 'q'", 0o604), 1);
    assert_eq!(warnings("source_password = 'q'", 0o640), 0);
    assert_eq!(warnings("source_user = 'q'", 0o644), 0);
}

#[test]
fn the_shown_configuration_is_a_configuration_and_hides_secrets() {
    let case = Case::new("source_password = 'swordfish'\n[backup]\ndatabase = ['a', 'b']", "TZ=UTC");
    let Parsed::Run(run) = case.parse("cpu").unwrap() else { panic!("no run") };
    let shown = crate::print_config::as_toml("backup", run.file.as_deref(), &run.settings, &[]);
    assert!(!shown.contains("swordfish"), "{shown}");
    let table: toml::Table = shown.parse().unwrap();
    assert_eq!(table["source_password"].as_str(), Some("(hidden)"));
    assert_eq!(table["backup"]["jobs"].as_integer(), Some(4));
    assert_eq!(table["backup"]["database"].as_array().unwrap().len(), 2);
    // What is shown can be read again.
    assert!(matches!(Case::new(&shown, "TZ=UTC").parse("cpu"), Ok(Parsed::Run(_))), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&crate::print_config::as_json(&run.settings, &[])).unwrap();
    assert_eq!(json["settings"]["source_password"]["value"], "(hidden)");
    assert_eq!(json["settings"]["timezone"]["from"], "TZ");
}
