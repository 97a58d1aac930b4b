-- How a record stands to others of its hour: 0 whole, 1 part, 2 archive, 3 average.
ALTER TABLE raw_record ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;

-- The change (table meta) that brought the content of an hour, or its observations: chains that read
-- the store go through hours in this order, so that nothing is overtaken.
ALTER TABLE raw_record ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
CREATE INDEX raw_record_change ON raw_record (change, station_key, hour);
ALTER TABLE station_hour ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
CREATE INDEX station_hour_change ON station_hour (change, station_key, hour);

-- How far the hours of a source reach, for the lag of its harvester.
CREATE TABLE source_reach (
    process TEXT NOT NULL,
    source TEXT NOT NULL,
    newest_hour INTEGER NOT NULL,
    PRIMARY KEY (process, source)
) STRICT, WITHOUT ROWID;

-- Sources of two processes may have one name.
DROP INDEX quarantine_open;
CREATE UNIQUE INDEX quarantine_open ON quarantine (stage, process, source, place)
    WHERE resolved_at IS NULL;
