//! Points as text: InfluxDB line protocol.
