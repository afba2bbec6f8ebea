//! What all doors share: flags, configuration, logging, exit codes, the clock.
