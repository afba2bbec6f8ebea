//! The pool: what several nights have in common, stored once.
//!
//! A container of its own holds every TSM file and every shard once. What lies in a night's `shards/` are names of the
//! pool's shards: links in a Swift, where a shard is a large object that consists of the pool's TSM files and of what the tar
//! has between them; second names of the same file in a folder, where whole shards are shared. To everyone who looks, a
//! night is a full backup.
//!
//! ```text
//! nightshard-pool/tsm/<sha256>.<id>             a TSM file, or another piece of a shard's tar
//! nightshard-pool/shards/<sha256>.<id>          a shard
//! nightshard-pool/marks/tsm/<sha256>.<id>       that a piece is not to be used any more; likewise marks/shards/…
//! nightshard-pool/pool.json                     the grace period
//! ```
//!
//! # Order of reading and writing
//!
//! No store gives a lock, backups and prunes run on different machines, and each of them may be killed anywhere. Everything
//! rests on these rules (G is the grace period; all ages are by the store's clock):
//!
//! 1. A name carries a random id. It is written once and never again; a repair is another name.
//! 2. An object of the pool that no manifest names, and that is older than G/2, gets a mark. A mark is never taken away while
//!    its object is there.
//! 3. A backup raises its marker, then lists the marks, and from then on uses names without a mark or new ones alone. It
//!    seals only while it is younger than G/2.
//! 4. What has had a mark for longer than G is destroyed, if no manifest names it: manifests are read after the ages of the
//!    marks are known.
//!
//! So a name that a backup uses has no mark when that backup lists them, at L at the latest before which the listing lags;
//! it cannot be destroyed before G − L later, and then the manifest, sealed within G/2, has been there for longer than any
//! listing lags, as long as L is less than G/2. That is three and a half days with the default.

mod census;
mod collect;
mod cut;
mod keep;
mod named;
mod names;
mod settings;

pub use census::{Census, Contribution};
pub use collect::{Collected, Gone, Swept, collect};
pub use cut::{Cut, cut};
pub use keep::{Kept, Known, LocalShard, Pool};
pub use named::{Named, NamedBy, Naming, NamingObject, NamingPooled, named, naming_nights};
pub use names::{PoolName, mark_of, piece_name, shard_name};
pub use settings::{DEFAULT_GRACE, LEAST_GRACE, PoolSettings, grace_of};

/// The container of the pool, unless another one is configured.
pub const DEFAULT_CONTAINER: &str = "nightshard-pool";
