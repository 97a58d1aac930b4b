//! The tables that a copy moves: one description for both backends and both directions.

/// What a column holds, and in which form each backend has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers of 2, 4 or 8 bytes on PostgreSQL.
    Int2,
    Int4,
    Int8,
    Real,
    Text,
    /// A text that comes back as it was also where there is no character of number 0.
    Name,
    Json,
    /// JSON of which PostgreSQL keeps what it means, not how it is written.
    Jsonb,
    Bytes,
    /// 0 or 1 on SQLite.
    Bool,
    /// Microseconds since 1970 on SQLite.
    Time,
    /// The start of an hour; on SQLite its number.
    Hour,
    /// RFC 3339 on SQLite; on PostgreSQL microseconds, and in a column `..._ns` the nanoseconds beyond.
    Nanos,
    /// Columns `lon` and `lat` on SQLite, one of PostGIS on PostgreSQL.
    Point,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// On PostgreSQL; SQLite has no schemas.
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    /// On SQLite, and in messages.
    pub(crate) embedded: &'static str,
    pub(crate) columns: &'static [Column],
    /// The columns of its key, in whose order rows are read and written.
    pub(crate) key: &'static str,
    /// The column whose values are given by counting on.
    pub(crate) counted: Option<&'static str>,
    /// A new store has rows of it, which are replaced.
    pub(crate) is_seeded: bool,
    /// Which rows are moved.
    pub(crate) only: Option<&'static str>,
}

const fn of(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const fn table(
    schema: &'static str,
    name: &'static str,
    key: &'static str,
    columns: &'static [Column],
) -> Table {
    Table {
        schema,
        name,
        embedded: name,
        columns,
        key,
        counted: None,
        is_seeded: false,
        only: None,
    }
}

/// A table of SensorThings entities.
const fn sta(
    name: &'static str,
    embedded: &'static str,
    key: &'static str,
    columns: &'static [Column],
) -> Table {
    Table {
        embedded,
        ..table("smartem_sta", name, key, columns)
    }
}

impl Table {
    const fn counted(mut self, column: &'static str) -> Self {
        self.counted = Some(column);
        self
    }

    const fn seeded(mut self) -> Self {
        self.is_seeded = true;
        self
    }

    const fn only(mut self, rows: &'static str) -> Self {
        self.only = Some(rows);
        self
    }
}

use Kind::{
    Bool, Bytes, Hour, Int2, Int4, Int8, Json, Jsonb, Name, Nanos, Point, Real, Text, Time,
};

/// Each after those that it refers to.
pub(crate) const TABLES: [Table; 36] = [
    table("smartem", "identity", "id", &[of("id", Text)]).seeded(),
    // The totals of SQLite are made anew; PostgreSQL has them by station and series. Whose log was committed
    // last is no matter of the copy: nothing is left in it.
    table(
        "smartem",
        "meta",
        "key",
        &[of("key", Text), of("value", Int8)],
    )
    .seeded()
    .only("key NOT IN ('observations', 'raw_records', 'points_log')"),
    table(
        "smartem",
        "term",
        "key",
        &[of("key", Int4), of("text", Text)],
    )
    .counted("key"),
    table(
        "smartem",
        "station",
        "key",
        &[
            of("key", Int4),
            of("id", Text),
            of("station_type", Text),
            of("network", Text),
            of("project", Text),
            of("name", Text),
            of("cadence_s", Real),
            of("first_seen", Time),
            of("declared_lon", Real),
            of("declared_lat", Real),
            of("declared_alt", Real),
        ],
    )
    .counted("key"),
    table(
        "smartem",
        "location",
        "station_key, valid_from",
        &[
            of("station_key", Int4),
            of("valid_from", Hour),
            of("lon", Real),
            of("lat", Real),
            of("alt", Real),
        ],
    ),
    table(
        "smartem",
        "checkpoint",
        "process, source, partition",
        &[
            of("process", Text),
            of("source", Text),
            of("partition", Text),
            of("position", Json),
            of("updated_at", Time),
        ],
    ),
    table(
        "smartem",
        "source_reach",
        "process, source",
        &[
            of("process", Text),
            of("source", Text),
            of("newest_hour", Hour),
        ],
    ),
    table(
        "smartem",
        "quarantine",
        "id",
        &[
            of("id", Int8),
            of("stage", Text),
            of("process", Text),
            of("source", Text),
            of("station", Text),
            of("place", Text),
            of("reason", Text),
            of("detail", Text),
            of("body", Bytes),
            of("body_length", Int8),
            of("first_seen", Time),
            of("last_seen", Time),
            of("seen", Int8),
            of("resolved_at", Time),
        ],
    )
    .counted("id"),
    table(
        "smartem",
        "run",
        "id",
        &[
            of("id", Int8),
            of("process", Text),
            of("started_at", Time),
            of("finished_at", Time),
            of("outcome", Text),
            of("exit_code", Int4),
            of("summary", Json),
        ],
    )
    .counted("id"),
    table(
        "smartem",
        "counter",
        "process, name, label",
        &[
            of("process", Text),
            of("name", Text),
            of("label", Text),
            of("value", Int8),
        ],
    ),
    table(
        "smartem",
        "token",
        "id",
        &[
            of("id", Int8),
            of("name", Text),
            of("hash", Text),
            of("rights", Text),
            of("project", Text),
            of("created_at", Time),
            of("last_used", Time),
            of("expires_at", Time),
            of("revoked_at", Time),
        ],
    )
    .counted("id"),
    table(
        "smartem_raw",
        "raw_payload",
        "key",
        &[of("key", Int8), of("payload", Bytes)],
    )
    .counted("key"),
    table(
        "smartem_raw",
        "raw_record",
        "station_key, hour",
        &[
            of("station_key", Int4),
            of("hour", Hour),
            of("revision", Int8),
            of("dirty", Bool),
            of("source", Int4),
            of("received_at", Time),
            of("content_hash", Bytes),
            of("payload_key", Int8),
            of("standing", Int2),
            of("change", Int8),
            of("has_points", Bool),
        ],
    ),
    table(
        "smartem_raw",
        "raw_snapshot",
        "station_key",
        &[
            of("station_key", Int4),
            of("time", Nanos),
            of("source", Int4),
            of("received_at", Time),
            of("content_hash", Bytes),
            of("payload", Bytes),
            of("lon", Real),
            of("lat", Real),
            of("alt", Real),
        ],
    ),
    table(
        "smartem_raw",
        "point_database",
        "number",
        &[of("number", Int4), of("name", Name)],
    ),
    table(
        "smartem_raw",
        "point_measurement",
        "number",
        &[of("number", Int4), of("database", Int4), of("name", Name)],
    ),
    table(
        "smartem_raw",
        "point_field",
        "measurement, number",
        &[
            of("measurement", Int4),
            of("number", Int4),
            of("name", Name),
            of("type", Int2),
        ],
    ),
    table(
        "smartem_raw",
        "point_series",
        "number",
        &[
            of("number", Int8),
            of("measurement", Int4),
            of("tags", Text),
            of("station", Text),
            of("station_type", Name),
        ],
    ),
    table(
        "smartem_raw",
        "point_block",
        "key",
        &[
            of("key", Int8),
            of("series", Int8),
            of("day", Int4),
            of("first", Int8),
            of("last", Int8),
            of("rows", Int4),
            of("small", Bool),
            of("payload", Bytes),
        ],
    )
    .counted("key"),
    table(
        "smartem_refined",
        "station_hour",
        "station_key, hour",
        &[
            of("station_key", Int4),
            of("hour", Hour),
            of("state", Text),
            of("rejections", Json),
            of("quarantine_reason", Text),
            of("quarantine_detail", Text),
            of("lon", Real),
            of("lat", Real),
            of("alt", Real),
            of("location_source", Text),
            of("station_altitude", Bool),
            of("change", Int8),
        ],
    ),
    table(
        "smartem_refined",
        "series",
        "key",
        &[
            of("key", Int4),
            of("station_key", Int4),
            of("indicator", Text),
            of("sensor", Text),
            of("unit", Text),
            of("label", Text),
            of("observations", Int8),
            of("first_time", Time),
            of("last_time", Time),
        ],
    )
    .counted("key"),
    table(
        "smartem_refined",
        "observation",
        "series_key, start_time",
        &[
            of("series_key", Int4),
            of("start_time", Time),
            of("end_time", Time),
            of("value", Real),
            of("min", Real),
            of("max", Real),
            of("raw", Real),
            of("coverage", Real),
            of("alt", Real),
            of("point", Point),
            of("raw_unit", Int4),
            of("accepted", Int4),
            of("rejected", Int4),
            of("definition", Int4),
            of("model", Int4),
            of("flags", Int2),
        ],
    ),
    table(
        "smartem_rt",
        "last_value",
        "series_key",
        &[
            of("series_key", Int4),
            of("start_time", Nanos),
            of("end_time", Nanos),
            of("value", Real),
            of("flags", Int2),
            of("from_snapshot", Bool),
        ],
    ),
    table(
        "smartem_calibrated",
        "imported_model",
        "source, id",
        &[
            of("source", Text),
            of("id", Int8),
            of("parameters", Text),
            of("model", Bytes),
            of("input_order", Text),
            of("predicts", Text),
            of("score", Real),
            of("n", Int8),
            of("invalid", Bool),
            of("made_at", Time),
            of("imported_at", Time),
        ],
    ),
    sta(
        "thing",
        "sta_thing",
        "id",
        &[
            of("id", Int8),
            of("station_key", Int4),
            of("project", Text),
            of("name", Text),
            of("description", Text),
            of("properties", Jsonb),
        ],
    )
    .counted("id"),
    sta(
        "location",
        "sta_location",
        "id",
        &[
            of("id", Int8),
            of("station_key", Int4),
            of("valid_from", Hour),
            of("project", Text),
            of("name", Text),
            of("description", Text),
            of("encoding_type", Text),
            of("location", Jsonb),
            of("properties", Jsonb),
            of("west", Real),
            of("south", Real),
            of("east", Real),
            of("north", Real),
        ],
    )
    .counted("id"),
    sta(
        "thing_location",
        "sta_thing_location",
        "thing_id, location_id",
        &[of("thing_id", Int8), of("location_id", Int8)],
    ),
    sta(
        "historical_location",
        "sta_historical_location",
        "id",
        &[of("id", Int8), of("thing_id", Int8), of("time", Time)],
    )
    .counted("id"),
    sta(
        "historical_location_location",
        "sta_historical_location_location",
        "historical_location_id, location_id",
        &[of("historical_location_id", Int8), of("location_id", Int8)],
    ),
    sta(
        "sensor",
        "sta_sensor",
        "id",
        &[
            of("id", Int8),
            of("instrument", Text),
            of("project", Text),
            of("name", Text),
            of("description", Text),
            of("encoding_type", Text),
            of("metadata", Jsonb),
            of("properties", Jsonb),
        ],
    )
    .counted("id"),
    sta(
        "observed_property",
        "sta_observed_property",
        "id",
        &[
            of("id", Int8),
            of("indicator", Text),
            of("project", Text),
            of("name", Text),
            of("definition", Text),
            of("description", Text),
            of("properties", Jsonb),
        ],
    )
    .counted("id"),
    // Numbered together with series.
    sta(
        "datastream",
        "sta_datastream",
        "id",
        &[
            of("id", Int8),
            of("is_refined", Bool),
            of("thing_id", Int8),
            of("sensor_id", Int8),
            of("name", Text),
            of("description", Text),
            of("observation_type", Text),
            of("unit", Jsonb),
            of("multi_types", Jsonb),
            of("properties", Jsonb),
            of("area", Jsonb),
            of("observations", Int8),
            of("next_n", Int8),
            of("phenomenon_start", Time),
            of("phenomenon_end", Time),
            of("result_start", Time),
            of("result_end", Time),
            of("west", Real),
            of("south", Real),
            of("east", Real),
            of("north", Real),
        ],
    )
    .counted("id"),
    sta(
        "datastream_property",
        "sta_datastream_property",
        "datastream_id, position",
        &[
            of("datastream_id", Int8),
            of("position", Int4),
            of("observed_property_id", Int8),
        ],
    ),
    sta(
        "feature",
        "sta_feature",
        "id",
        &[
            of("id", Int8),
            of("location_id", Int8),
            of("project", Text),
            of("name", Text),
            of("description", Text),
            of("encoding_type", Text),
            of("feature", Jsonb),
            of("properties", Jsonb),
            of("west", Real),
            of("south", Real),
            of("east", Real),
            of("north", Real),
        ],
    )
    .counted("id"),
    sta(
        "observation",
        "sta_observation",
        "datastream_id, start_time, n",
        &[
            of("datastream_id", Int8),
            of("start_time", Time),
            of("n", Int8),
            of("end_time", Time),
            of("result", Real),
            of("result_json", Jsonb),
            of("result_time", Time),
            of("feature_id", Int8),
            of("valid_start", Time),
            of("valid_end", Time),
            of("quality", Jsonb),
            of("parameters", Jsonb),
        ],
    ),
    sta(
        "change",
        "sta_change",
        "seq",
        &[
            of("seq", Int8),
            of("entity_type", Int2),
            of("id", Int8),
            of("kind", Int2),
            of("from_n", Int8),
            of("to_n", Int8),
            of("at", Time),
        ],
    )
    .counted("seq"),
];
