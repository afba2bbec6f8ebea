//! Refused, with nothing changed.
