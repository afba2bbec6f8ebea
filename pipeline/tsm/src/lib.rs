//! InfluxDB 1.x files at rest: shard tars.
