//! The machine's time zone, for days that begin and end where its users live.

use crate::environment::Environment;
use crate::exit::Failure;

const HINT: &str = "name the zone with --timezone, NIGHTSHARD_TIMEZONE or `timezone = …` in the configuration file, \
                    such as Europe/Berlin or UTC";

/// The zone that timers and cron follow, if it is known.
#[must_use]
pub fn machine_time_zone(environment: &Environment) -> Option<chrono_tz::Tz> {
    of_machine(environment).ok()?.0.parse().ok()
}

/// Name of the machine's zone and where it was found: `TZ`, which every program obeys, else `/etc/localtime` and its
/// like, else UTC, which is what the C library takes when there is nothing.
pub(crate) fn of_machine(environment: &Environment) -> Result<(String, String), Failure> {
    if let Some(value) = environment.get("TZ") {
        // `:Europe/Berlin` and full paths are other spellings of the same.
        let name = value.trim_start_matches(':').trim_start_matches("/usr/share/zoneinfo/");
        // This one says that the machine's own zone is meant, whose name stands elsewhere.
        if name != "/etc/localtime" {
            return checked(name, "TZ");
        }
    }
    match iana_time_zone::get_timezone() {
        Ok(name) => checked(&name, "this machine"),
        Err(_) if !std::path::Path::new("/etc/localtime").exists() => Ok(("UTC".to_owned(), "this machine".to_owned())),
        Err(error) => Err(Failure::usage(format!("the machine's time zone has no name: {error}"), HINT)),
    }
}

fn checked(name: &str, origin: &str) -> Result<(String, String), Failure> {
    match name.parse::<chrono_tz::Tz>() {
        Ok(zone) => Ok((zone.name().to_owned(), origin.to_owned())),
        Err(_) => Err(Failure::usage(format!("the time zone {name:?} of {origin} is not known"), HINT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tz_is_obeyed_in_its_spellings_and_refused_where_it_is_no_zone() {
        let table = "
            Europe/Berlin                     | Europe/Berlin
            :Europe/Berlin                    | Europe/Berlin
            /usr/share/zoneinfo/Asia/Tokyo    | Asia/Tokyo
            UTC                               | UTC
            CET-1CEST,M3.5.0,M10.5.0/3        | error
            Europe/Atlantis                   | error";
        for line in table.lines().skip(1) {
            let (text, expected) = line.split_once('|').unwrap();
            let environment: Environment = [("TZ", text.trim())].into_iter().collect();
            let found = of_machine(&environment).map_or("error".to_owned(), |(name, _)| name);
            assert_eq!(found, expected.trim(), "{text}");
        }
    }

    #[test]
    fn the_file_of_the_local_zone_means_the_machine() {
        let name = |environment: Environment| of_machine(&environment).unwrap().0;
        let machine = name(Environment::default());
        assert_eq!(name([("TZ", ":/etc/localtime")].into_iter().collect()), machine);
    }
}
