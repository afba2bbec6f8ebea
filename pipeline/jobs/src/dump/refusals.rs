//! What is refused at once, before a server is asked and before anything is waited for.

use super::Config;
use crate::{Error, Kind};

/// Refuses what makes no sense whatever the servers say.
pub(super) fn check(config: &Config, archive: bool) -> Result<(), Error> {
    let usage = |message: &str, hint: &str| Err(Error::new(Kind::Usage, message).hint(hint));
    if config.upload && !archive {
        return usage("cannot upload a dump without an archive", "name one with --archive, or give --no-upload");
    }
    if !config.upload && config.output.is_none() {
        return usage("nothing would be kept of the dump", "name a folder for it with --output, or let it be uploaded");
    }
    if config.measurements.iter().any(String::is_empty) {
        return usage("a measurement has no name", "an empty name comes from a variable that is not set, for example");
    }
    Ok(())
}
