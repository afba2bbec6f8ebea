//! A live InfluxDB 1.x: snapshot service, queries and metastore.
