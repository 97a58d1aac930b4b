-- The entities of the OGC SensorThings API, shaped after its version 2.0. Those of stations are made and
-- kept by the store itself: they have station_key, instrument, indicator or is_refined. Observations of
-- refined datastreams stay in the table observation. Times are microseconds since 1970; west to north is the
-- bounding box of a geometry, WGS 84, degrees.

CREATE TABLE sta_thing (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    station_key INTEGER UNIQUE REFERENCES station (key),
    -- Whose it is: who writes needs a token of this project; NULL: one of no project.
    project TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON, here and below.
    properties TEXT
) STRICT;
CREATE INDEX sta_thing_name ON sta_thing (name);

CREATE TABLE sta_location (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    station_key INTEGER REFERENCES station (key),
    -- The hour from which the station is there.
    valid_from INTEGER,
    project TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    encoding_type TEXT NOT NULL,
    location TEXT NOT NULL,
    properties TEXT,
    west REAL, south REAL, east REAL, north REAL,
    UNIQUE (station_key, valid_from)
) STRICT;

CREATE INDEX sta_location_name ON sta_location (name);

CREATE TABLE sta_thing_location (
    thing_id INTEGER NOT NULL REFERENCES sta_thing (id),
    location_id INTEGER NOT NULL REFERENCES sta_location (id),
    PRIMARY KEY (thing_id, location_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sta_thing_location_back ON sta_thing_location (location_id);

CREATE TABLE sta_historical_location (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thing_id INTEGER NOT NULL REFERENCES sta_thing (id),
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX sta_historical_location_thing ON sta_historical_location (thing_id, time);

CREATE TABLE sta_historical_location_location (
    historical_location_id INTEGER NOT NULL REFERENCES sta_historical_location (id),
    location_id INTEGER NOT NULL REFERENCES sta_location (id),
    PRIMARY KEY (historical_location_id, location_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sta_historical_location_location_back ON sta_historical_location_location (location_id);

CREATE TABLE sta_sensor (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The sensor of series.
    instrument TEXT UNIQUE,
    project TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    encoding_type TEXT NOT NULL,
    metadata TEXT NOT NULL,
    properties TEXT
) STRICT;
CREATE INDEX sta_sensor_name ON sta_sensor (name);

CREATE TABLE sta_observed_property (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The indicator of series.
    indicator TEXT UNIQUE,
    project TEXT,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    description TEXT NOT NULL,
    properties TEXT
) STRICT;
CREATE INDEX sta_observed_property_name ON sta_observed_property (name);

CREATE TABLE sta_datastream (
    -- Of a refined one the key of its series; others are numbered with them.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    is_refined INTEGER NOT NULL,
    thing_id INTEGER NOT NULL REFERENCES sta_thing (id),
    sensor_id INTEGER NOT NULL REFERENCES sta_sensor (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    observation_type TEXT NOT NULL,
    -- An object; of a multi one an array of objects.
    unit TEXT NOT NULL,
    -- Of a multi one, the types of its results: an array of URIs.
    multi_types TEXT,
    properties TEXT,
    -- As the client gave it, instead of that of the observations.
    area TEXT,
    -- Of its observations; those of refined ones are in series.
    observations INTEGER NOT NULL DEFAULT 0,
    next_n INTEGER NOT NULL DEFAULT 1,
    phenomenon_start INTEGER,
    phenomenon_end INTEGER,
    result_start INTEGER,
    result_end INTEGER,
    west REAL, south REAL, east REAL, north REAL
) STRICT;
CREATE INDEX sta_datastream_thing ON sta_datastream (thing_id, name);
CREATE INDEX sta_datastream_sensor ON sta_datastream (sensor_id);
CREATE INDEX sta_datastream_name ON sta_datastream (name);

CREATE TABLE sta_datastream_property (
    datastream_id INTEGER NOT NULL REFERENCES sta_datastream (id),
    position INTEGER NOT NULL,
    observed_property_id INTEGER NOT NULL REFERENCES sta_observed_property (id),
    PRIMARY KEY (datastream_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX sta_datastream_property_back ON sta_datastream_property (observed_property_id);

CREATE TABLE sta_feature (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The location that it was made of.
    location_id INTEGER UNIQUE REFERENCES sta_location (id),
    project TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    encoding_type TEXT NOT NULL,
    feature TEXT NOT NULL,
    properties TEXT,
    west REAL, south REAL, east REAL, north REAL
) STRICT;

CREATE TABLE sta_observation (
    datastream_id INTEGER NOT NULL REFERENCES sta_datastream (id),
    -- Of the phenomenon time.
    start_time INTEGER NOT NULL,
    -- Counted within the datastream.
    n INTEGER NOT NULL,
    -- NULL: an instant.
    end_time INTEGER,
    -- A number that a double holds exactly; anything else is in result_json.
    result REAL,
    result_json TEXT,
    result_time INTEGER,
    feature_id INTEGER REFERENCES sta_feature (id),
    valid_start INTEGER,
    valid_end INTEGER,
    quality TEXT,
    parameters TEXT,
    PRIMARY KEY (datastream_id, start_time, n)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sta_observation_n ON sta_observation (datastream_id, n);
CREATE INDEX sta_observation_feature ON sta_observation (feature_id, datastream_id)
    WHERE feature_id IS NOT NULL;
-- The ends of an extent are found by these and the key.
CREATE INDEX sta_observation_end ON sta_observation (datastream_id, end_time) WHERE end_time IS NOT NULL;
CREATE INDEX sta_observation_result_time ON sta_observation (datastream_id, result_time)
    WHERE result_time IS NOT NULL;

-- What changed, for who tells it on; the oldest are removed.
CREATE TABLE sta_change (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The number of the type: 0 Thing, 1 Location, 2 HistoricalLocation, 3 Datastream, 5 Sensor,
    -- 6 ObservedProperty, 7 Observation, 8 Feature.
    entity_type INTEGER NOT NULL,
    -- Of observations, their datastream.
    id INTEGER NOT NULL,
    -- 0 created, 1 updated, 2 deleted.
    kind INTEGER NOT NULL,
    -- Of observations, from and to this number within the datastream.
    from_n INTEGER,
    to_n INTEGER,
    at INTEGER NOT NULL
) STRICT;

-- Stations whose entities are to be brought in line, in the transaction that changed them.
CREATE TABLE sta_stale (
    station_key INTEGER PRIMARY KEY REFERENCES station (key)
) STRICT;
INSERT INTO sta_stale (station_key) SELECT key FROM station;

CREATE TRIGGER sta_station_made AFTER INSERT ON station BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.key);
END;
CREATE TRIGGER sta_station_changed AFTER UPDATE OF station_type, network, project, name, cadence_s,
    declared_lon, declared_lat, declared_alt ON station BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.key);
END;
CREATE TRIGGER sta_location_made AFTER INSERT ON location BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.station_key);
END;
CREATE TRIGGER sta_location_changed AFTER UPDATE ON location BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.station_key);
END;
CREATE TRIGGER sta_location_removed AFTER DELETE ON location BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (old.station_key);
END;
CREATE TRIGGER sta_series_made AFTER INSERT ON series BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.station_key);
END;
CREATE TRIGGER sta_series_named AFTER UPDATE OF label ON series BEGIN
    INSERT OR IGNORE INTO sta_stale (station_key) VALUES (new.station_key);
END;
