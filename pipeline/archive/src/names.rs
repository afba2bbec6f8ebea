//! Names of objects within a night's container. Each begins with the container's own name.

/// The folder of what `influxd restore` reads.
#[must_use]
pub fn shards_prefix(container: &str) -> String {
    format!("{container}/shards/")
}

/// The folder of the dumps.
#[must_use]
pub fn dumps_prefix(container: &str) -> String {
    format!("{container}/influxdb/")
}

/// The folder of the running markers.
#[must_use]
pub fn running_prefix(container: &str) -> String {
    format!("{container}/running/")
}

/// The folder of the seals and records.
#[must_use]
pub fn manifests_prefix(container: &str) -> String {
    format!("{container}/manifests/")
}

/// The metastore, named as `influxd backup` names it.
#[must_use]
pub fn metastore(container: &str) -> String {
    format!("{container}/shards/meta.00")
}

/// A shard, named as `influxd backup -database` names it: the id has at least five digits.
#[must_use]
pub fn shard(container: &str, database: &str, policy: &str, id: u64) -> String {
    format!("{container}/shards/{database}.{policy}.{id:05}.00")
}

/// Whether an object is named as the metastore or a shard is: what a backup alone stores in `shards/`.
#[must_use]
pub fn is_data(container: &str, name: &str) -> bool {
    name.strip_prefix(&shards_prefix(container)).is_some_and(is_data_file)
}

/// Whether a file is named as `influxd backup` names the metastore or a shard of its first run into a folder.
#[must_use]
pub fn is_data_file(file: &str) -> bool {
    let of_shard = || file.strip_suffix(".00")?.rsplit_once('.');
    let is_id = |id: &str| id.len() >= 5 && id.bytes().all(|digit| digit.is_ascii_digit());
    file == "meta.00" || of_shard().is_some_and(|(policy, id)| policy.contains('.') && is_id(id))
}

/// The seal of the backup.
#[must_use]
pub fn backup_manifest(container: &str) -> String {
    format!("{container}/manifests/backup.json")
}

/// The seal of a dump, by the dump's full file name.
#[must_use]
pub fn dump_manifest(container: &str, file: &str) -> String {
    format!("{container}/manifests/dump.{file}.json")
}

/// Whether `name` is that of a dump's seal.
#[must_use]
pub fn is_dump_manifest(container: &str, name: &str) -> bool {
    dump_of_manifest(container, name).is_some_and(|file| dump_manifest(container, file) == *name)
}

/// The record of a dump that is being replaced, by the dump's full file name.
#[must_use]
pub fn dump_replacement(container: &str, file: &str) -> String {
    format!("{container}/manifests/replacing.{file}.json")
}

/// The file names of the dumps of which `name` is the seal or the record of a replacement; `None` for any other name.
#[must_use]
pub fn dump_of_manifest<'a>(container: &str, name: &'a str) -> Option<&'a str> {
    let name = name.strip_prefix(&manifests_prefix(container))?.strip_suffix(".json")?;
    name.strip_prefix("dump.").or_else(|| name.strip_prefix("replacing."))
}

/// What a run of the dump was asked for, by an id of that.
#[must_use]
pub fn dump_selection(container: &str, id: &str) -> String {
    format!("{container}/manifests/selection.{id}.json")
}

/// Whether `name` is that of a selection of dumps.
#[must_use]
pub fn is_dump_selection(container: &str, name: &str) -> bool {
    name.strip_prefix(&manifests_prefix(container)).is_some_and(|name| name.starts_with("selection."))
}

/// What a restore onto the named host proved.
#[must_use]
pub fn restore_record(container: &str, host: &str) -> String {
    format!("{container}/manifests/restore.{}.json", encode(host))
}

/// Whether `name` is that of such a record.
#[must_use]
pub fn is_restore_record(container: &str, name: &str) -> bool {
    name.strip_prefix(&manifests_prefix(container)).is_some_and(|name| name.starts_with("restore."))
}

/// When and how the night was verified.
#[must_use]
pub fn verify_record(container: &str) -> String {
    format!("{container}/manifests/verify.json")
}

/// What each shard of the night holds, for the backup of the next one.
#[must_use]
pub fn shard_statistics(container: &str) -> String {
    format!("{container}/manifests/statistics.json")
}

/// That the night is being deleted, and why.
#[must_use]
pub fn deletion_record(container: &str) -> String {
    format!("{container}/manifests/deletion.json")
}

/// That the night is to be kept, and why.
#[must_use]
pub fn pin_record(container: &str) -> String {
    format!("{container}/manifests/pin.json")
}

/// The marker of a run under way.
#[must_use]
pub fn running_marker(container: &str, id: &str) -> String {
    format!("{container}/running/{id}.json")
}

/// A dump in the archive, by its file name.
#[must_use]
pub fn dump(container: &str, file: &str) -> String {
    format!("{container}/influxdb/{file}")
}

/// Percent-encodes what cannot stand in the name of an object or file, and `%` itself, so that two names never meet.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || "/\\%".contains(character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        } else {
            encoded.push(character);
        }
    }
    encoded
}
