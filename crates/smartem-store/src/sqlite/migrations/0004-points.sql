-- What stations push: points of time series.

CREATE TABLE point_database (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE point_measurement (
    number INTEGER PRIMARY KEY,
    database INTEGER NOT NULL REFERENCES point_database (number),
    name TEXT NOT NULL
) STRICT;

CREATE TABLE point_field (
    measurement INTEGER NOT NULL REFERENCES point_measurement (number),
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- 0 float, 1 integer, 2 unsigned, 3 boolean, 4 string.
    type INTEGER NOT NULL,
    PRIMARY KEY (measurement, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE point_series (
    number INTEGER PRIMARY KEY,
    measurement INTEGER NOT NULL REFERENCES point_measurement (number),
    -- JSON: a list of pairs of key and value, by key.
    tags TEXT NOT NULL,
    -- The id and the type of the station whose series it is; NULL: it is of none.
    station TEXT,
    station_type TEXT
) STRICT;
CREATE INDEX point_series_station ON point_series (station) WHERE station IS NOT NULL;

-- Rows of a series within one day (number of days since 1970, UTC), compressed. Times are
-- nanoseconds since 1970. Of rows of one time in two blocks those of the later `key` hold.
CREATE TABLE point_block (
    key INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES point_series (number),
    day INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    -- 1: to be united with others of its day when there are some.
    small INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX point_block_series ON point_block (series, day);
CREATE INDEX point_block_small ON point_block (series, day) WHERE small = 1;

-- Segments of the append log before this one are committed.
INSERT INTO meta (key, value) VALUES ('points_segment', 0);

-- A raw record may have points of the station's series beside its payload, or instead of it.
CREATE TABLE raw_record_new (
    station_key INTEGER NOT NULL REFERENCES station (key),
    hour INTEGER NOT NULL,
    -- Changes whenever content, incoming state or location of the hour does, and when it is refined.
    revision INTEGER NOT NULL,
    dirty INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES term (key),
    received_at INTEGER NOT NULL,
    -- SHA-256 of the payload before compression; empty without a payload.
    content_hash BLOB NOT NULL,
    -- NULL: all of its samples are points.
    payload_key INTEGER REFERENCES raw_payload (key),
    -- How it stands to others of its hour: 0 whole, 1 part, 2 archive, 3 average.
    standing INTEGER NOT NULL DEFAULT 0,
    change INTEGER NOT NULL DEFAULT 0,
    -- 1: some of its samples are points.
    has_points INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (station_key, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO raw_record_new (station_key, hour, revision, dirty, source, received_at, content_hash,
        payload_key, standing, change)
    SELECT station_key, hour, revision, dirty, source, received_at, content_hash, payload_key, standing,
        change
    FROM raw_record;
DROP TABLE raw_record;
ALTER TABLE raw_record_new RENAME TO raw_record;
CREATE INDEX raw_record_dirty ON raw_record (station_key, hour) WHERE dirty = 1;
CREATE INDEX raw_record_change ON raw_record (change, station_key, hour);
