-- The first schema. Times are microseconds since 1970 (UTC) unless said otherwise; an hour is the
-- number of whole hours since 1970.

-- Running totals, so that nothing ever counts rows to know them.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('change', 0), ('observations', 0), ('raw_records', 0);

-- Texts that many rows share: sources, units, definitions, models.
CREATE TABLE term (
    key INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- Thing.
CREATE TABLE station (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    station_type TEXT NOT NULL,
    network TEXT NOT NULL,
    project TEXT,
    name TEXT,
    cadence_s REAL,
    first_seen INTEGER NOT NULL
) STRICT;

-- Locations of a station, each from the start of an hour on.
CREATE TABLE location (
    station_key INTEGER NOT NULL REFERENCES station (key),
    valid_from INTEGER NOT NULL,
    lon REAL NOT NULL,
    lat REAL NOT NULL,
    alt REAL,
    PRIMARY KEY (station_key, valid_from)
) STRICT, WITHOUT ROWID;

-- Payloads lie apart from what is known of them: marking an hour dirty does not touch them, and
-- looking for hours does not read past them.
CREATE TABLE raw_payload (
    key INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

CREATE TABLE raw_record (
    station_key INTEGER NOT NULL REFERENCES station (key),
    hour INTEGER NOT NULL,
    -- Changes whenever content, incoming state or location of the hour does, and when it is refined.
    revision INTEGER NOT NULL,
    dirty INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES term (key),
    received_at INTEGER NOT NULL,
    -- SHA-256 of the payload before compression.
    content_hash BLOB NOT NULL,
    payload_key INTEGER NOT NULL REFERENCES raw_payload (key),
    PRIMARY KEY (station_key, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX raw_record_dirty ON raw_record (station_key, hour) WHERE dirty = 1;

-- The newest "last" record of a station. `time` is RFC 3339: snapshots have nanoseconds.
CREATE TABLE raw_snapshot (
    station_key INTEGER PRIMARY KEY REFERENCES station (key),
    time TEXT NOT NULL,
    source INTEGER NOT NULL REFERENCES term (key),
    received_at INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    payload BLOB NOT NULL,
    lon REAL,
    lat REAL,
    alt REAL
) STRICT;

-- What refining an hour gave beside its observations.
CREATE TABLE station_hour (
    station_key INTEGER NOT NULL REFERENCES station (key),
    hour INTEGER NOT NULL,
    -- Handed on to the next stored hour.
    state TEXT NOT NULL,
    -- JSON.
    rejections TEXT NOT NULL,
    quarantine_reason TEXT,
    quarantine_detail TEXT,
    lon REAL,
    lat REAL,
    alt REAL,
    location_source TEXT CHECK (location_source IN ('fix', 'point', 'station')),
    -- Whether `alt` is the one known of the station.
    station_altitude INTEGER NOT NULL,
    PRIMARY KEY (station_key, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX station_hour_positioned ON station_hour (station_key, hour)
    WHERE location_source IN ('fix', 'point');

-- Datastream.
CREATE TABLE series (
    key INTEGER PRIMARY KEY,
    station_key INTEGER NOT NULL REFERENCES station (key),
    indicator TEXT NOT NULL,
    sensor TEXT NOT NULL,
    unit TEXT NOT NULL,
    label TEXT NOT NULL,
    observations INTEGER NOT NULL DEFAULT 0,
    first_time INTEGER,
    last_time INTEGER,
    UNIQUE (station_key, indicator, sensor, unit)
) STRICT;

CREATE TABLE observation (
    series_key INTEGER NOT NULL REFERENCES series (key),
    start_time INTEGER NOT NULL,
    end_time INTEGER NOT NULL,
    value REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    raw REAL,
    raw_unit INTEGER REFERENCES term (key),
    accepted INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    coverage REAL,
    -- 1 below_detection, 2 low_coverage, 4 station_location.
    flags INTEGER NOT NULL,
    lon REAL NOT NULL,
    lat REAL NOT NULL,
    alt REAL,
    definition INTEGER NOT NULL REFERENCES term (key),
    model INTEGER REFERENCES term (key),
    PRIMARY KEY (series_key, start_time)
) STRICT, WITHOUT ROWID;

-- The newest value of a series, of an hour or of a snapshot. Times are RFC 3339.
CREATE TABLE last_value (
    series_key INTEGER PRIMARY KEY REFERENCES series (key),
    start_time TEXT NOT NULL,
    end_time TEXT NOT NULL,
    value REAL NOT NULL,
    flags INTEGER NOT NULL,
    from_snapshot INTEGER NOT NULL
) STRICT;

CREATE TABLE checkpoint (
    process TEXT NOT NULL,
    source TEXT NOT NULL,
    partition TEXT NOT NULL,
    -- JSON.
    position TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (process, source, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stage TEXT NOT NULL,
    process TEXT NOT NULL,
    source TEXT NOT NULL,
    station TEXT,
    place TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    -- Compressed with zstd.
    body BLOB,
    body_length INTEGER,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    resolved_at INTEGER
) STRICT;
-- The same bad thing again is the same entry.
CREATE UNIQUE INDEX quarantine_open ON quarantine (stage, source, place) WHERE resolved_at IS NULL;

CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    process TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT,
    exit_code INTEGER,
    -- JSON.
    summary TEXT
) STRICT;
CREATE INDEX run_process ON run (process, id);

CREATE TABLE counter (
    process TEXT NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (process, name, label)
) STRICT, WITHOUT ROWID;
