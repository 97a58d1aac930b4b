//! The query language of InfluxDB 1.x.
