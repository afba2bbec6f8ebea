//! What is said of shards without a seal: what they may be, and how they get one.

use archive::Night;

/// What is known of a night that has shards and no seal.
pub(crate) const UNSEALED: &str =
    "shards lie there without a seal; it was lost, or they are not from nightshard-backup";

/// What is known of a night whose objects others have called otherwise.
pub(crate) fn misnamed(container: &str, object: &str) -> String {
    format!(
        "what lies there has no seal, and is called otherwise than a night's objects: {object}, and not {container}/…"
    )
}

/// How the night gets a seal.
pub(crate) fn command(night: &Night) -> String {
    let label = night.label.as_ref().map(|label| format!(" --label {label}")).unwrap_or_default();
    format!("nightshard-verify --adopt {}{label}", night.date)
}

/// What to do about a night that has shards and no seal.
pub(crate) fn hint(night: &Night) -> String {
    format!("`{}` looks into all of it and gives it a seal", command(night))
}

/// What to do about a night whose objects others have called otherwise.
pub(crate) fn hint_of_misnamed(night: &Night) -> String {
    format!("`{}` says how they get their names", command(night))
}
