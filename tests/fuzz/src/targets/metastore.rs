//! Metastores, bare and framed.

use std::collections::BTreeSet;

use influx::metastore::merge::excerpt;
use influx::metastore::{Data, Framed, frame};

/// A metastore that was read is the same once it is written and read again.
pub fn metastore(bytes: &[u8]) {
    if let Ok(framed) = Framed::decode(bytes.to_vec().into()) {
        assert_eq!(Framed::decode(frame(&framed.data)).unwrap().data, framed.data);
        look(&framed.data);
    }
    if let Ok(data) = Data::from_meta_db(bytes) {
        assert_eq!(Data::from_meta_db(&data.to_meta_db()).unwrap(), data);
        look(&data);
    }
}

fn look(data: &Data) {
    for database in &data.databases {
        let stored: BTreeSet<u64> = database.live_shards().map(|shard| shard.id).collect();
        if let Ok(merged) = excerpt(data, &database.name, &stored) {
            assert!(merged.shards.keys().all(|shard| stored.contains(shard)));
            assert!(merged.data.databases.iter().all(|other| other.name == database.name));
        }
    }
}
