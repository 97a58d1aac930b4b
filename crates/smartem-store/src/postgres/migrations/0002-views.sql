-- Views with the names and columns of the original platform, for QGIS projects, GeoServer layers and
-- queries that were made for it; see docs/reference/compatibility-views.md. Nothing is kept twice: they
-- show the tables of this schema. A text `station` (and `project`) follows the original's columns.

CREATE SCHEMA smartem_extracted;
COMMENT ON SCHEMA smartem_extracted IS 'smartem: the progress of the extractor, as the original named it.';
CREATE SCHEMA smartem_harvest_rivm;
COMMENT ON SCHEMA smartem_harvest_rivm IS 'smartem: the progress of the harvester of reference stations, as the original named it.';
CREATE SCHEMA smartem_meta;
COMMENT ON SCHEMA smartem_meta IS 'smartem: stations of projects, as the original named them.';

-- Models of an original database, kept as they were.
CREATE TABLE smartem_calibrated.imported_model (
    source text NOT NULL,
    id bigint NOT NULL,
    parameters text,
    model bytea NOT NULL,
    input_order text,
    predicts text NOT NULL,
    score double precision,
    n bigint,
    invalid boolean NOT NULL,
    made_at timestamptz,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);
COMMENT ON TABLE smartem_calibrated.imported_model IS 'Calibration models of an original database. Nothing here uses them: a pickled model has to be turned into JSON first.';
COMMENT ON COLUMN smartem_calibrated.imported_model.source IS 'The database that they came from.';
COMMENT ON COLUMN smartem_calibrated.imported_model.id IS 'The number that it has there.';
COMMENT ON COLUMN smartem_calibrated.imported_model.parameters IS 'The weights of running means, by input (JSON).';
COMMENT ON COLUMN smartem_calibrated.imported_model.model IS 'The model as it was: a Python pickle.';
COMMENT ON COLUMN smartem_calibrated.imported_model.input_order IS 'Its inputs in their order (JSON).';
COMMENT ON COLUMN smartem_calibrated.imported_model.predicts IS 'The gas that it predicts, as the original names it: carbon_monoxide__air_.';
COMMENT ON COLUMN smartem_calibrated.imported_model.score IS 'How well it did (R2).';
COMMENT ON COLUMN smartem_calibrated.imported_model.n IS 'With how many samples.';
COMMENT ON COLUMN smartem_calibrated.imported_model.invalid IS 'Whether the original had set it aside.';
COMMENT ON COLUMN smartem_calibrated.imported_model.made_at IS 'When it was made.';
COMMENT ON COLUMN smartem_calibrated.imported_model.imported_at IS 'When it was imported.';

-- Readers of the views ask for the end of an hour; observations lie in the order of time, mostly.
CREATE INDEX observation_end ON smartem_refined.observation
    USING brin (end_time) WITH (pages_per_range = 32, autosummarize = on);

CREATE FUNCTION smartem.device_id(station text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN station ~ '^(0|[1-9][0-9]{0,17})$' THEN station::bigint END;
COMMENT ON FUNCTION smartem.device_id IS 'The number of a station of the original platform; NULL for any other id.';

CREATE FUNCTION smartem.row_id(key integer, start timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (key::bigint << 32) + extract(epoch FROM start)::bigint;
COMMENT ON FUNCTION smartem.row_id IS 'A number for a row of a series, or of a station, and a time in whole seconds; always the same for the same row.';

CREATE FUNCTION smartem.day_number(start timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (extract(year FROM start AT TIME ZONE 'UTC') * 10000
    + extract(month FROM start AT TIME ZONE 'UTC') * 100
    + extract(day FROM start AT TIME ZONE 'UTC'))::integer;
COMMENT ON FUNCTION smartem.day_number IS 'The day of a time as yyyymmdd (UTC).';

CREATE FUNCTION smartem.hour_number(start timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN extract(hour FROM start AT TIME ZONE 'UTC')::integer + 1;
COMMENT ON FUNCTION smartem.hour_number IS 'The hour that begins at a time, 1 to 24 (UTC).';

CREATE FUNCTION smartem.project_id(device bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN device > 99999999 THEN device / 100000 ELSE device / 10000 END;
COMMENT ON FUNCTION smartem.project_id IS 'The project part of a device number, as the views of the original cut it.';

CREATE FUNCTION smartem.device_subid(device bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN device > 99999999 THEN device % 100000 ELSE device % 10000 END;
COMMENT ON FUNCTION smartem.device_subid IS 'The rest of a device number, as the views of the original cut it.';

-- smartem_raw

CREATE VIEW smartem_raw.timeseries AS
SELECT smartem.row_id(r.station_key, r.hour) AS gid,
    concat(st.id, '-', smartem.day_number(r.hour), '-', smartem.hour_number(r.hour)) AS unique_id,
    r.received_at AS insert_time,
    smartem.device_id(st.id) AS device_id,
    smartem.day_number(r.hour) AS day,
    smartem.hour_number(r.hour) AS hour,
    NULL::json AS data,
    (r.standing <> 1 OR r.hour <= now() - interval '1 hour') AS complete,
    st.station_type AS device_type,
    '1'::text AS device_version,
    st.id AS station
FROM smartem_raw.raw_record r
JOIN smartem.station st ON st.key = r.station_key;

CREATE VIEW smartem_raw.timeseries_current AS
SELECT smartem.row_id(r.station_key, r.hour) AS gid,
    concat(st.id, '-', smartem.day_number(r.hour), '-', smartem.hour_number(r.hour)) AS unique_id,
    r.received_at AS insert_time,
    smartem.device_id(st.id) AS device_id,
    smartem.day_number(r.hour) AS day,
    smartem.hour_number(r.hour) AS hour,
    NULL::json AS data,
    (r.standing <> 1) AS complete,
    st.station_type AS device_type,
    '1'::text AS device_version,
    st.id AS station
FROM smartem_raw.raw_record r
JOIN smartem.station st ON st.key = r.station_key
WHERE r.hour = date_trunc('hour', now(), 'UTC')
ORDER BY device_id, station;

CREATE VIEW smartem_raw.timeseries_last AS
SELECT t.* FROM smartem_raw.timeseries t WHERE NOT t.complete ORDER BY t.device_id, t.station;

CREATE VIEW smartem_raw.harvester_progress AS
SELECT st.key::bigint AS gid,
    r.received_at AS insert_time,
    concat(st.id, '-', smartem.day_number(r.hour), '-', smartem.hour_number(r.hour)) AS unique_id,
    smartem.device_id(st.id) AS device_id,
    smartem.day_number(r.hour) AS day,
    smartem.hour_number(r.hour) AS hour,
    st.id AS station
FROM smartem.station st
CROSS JOIN LATERAL (SELECT n.hour, n.received_at FROM smartem_raw.raw_record n
    WHERE n.station_key = st.key ORDER BY n.hour DESC LIMIT 1) r;

-- smartem_refined

CREATE VIEW smartem_refined.timeseries AS
SELECT smartem.row_id(o.series_key, o.start_time) AS gid,
    smartem.row_id(s.station_key, date_trunc('hour', o.start_time, 'UTC')) AS gid_raw,
    NULL::timestamptz AS insert_time,
    smartem.device_id(st.id) AS device_id,
    split_part(regexp_replace(d.text, '^stetl ', ''), '@', 1) AS device_meta,
    s.sensor AS sensor_meta,
    s.indicator AS name,
    s.label AS label,
    s.unit AS unit,
    o.end_time AS time,
    smartem.day_number(o.start_time) AS day,
    smartem.hour_number(o.start_time) AS hour,
    o.min AS value_min,
    o.max AS value_max,
    o.raw AS value_raw,
    o.value AS value,
    o.accepted AS sample_count,
    o.alt AS altitude,
    o.point AS point,
    st.id AS station
FROM smartem_refined.observation o
JOIN smartem_refined.series s ON s.key = o.series_key
JOIN smartem.station st ON st.key = s.station_key
LEFT JOIN smartem.term d ON d.key = o.definition;

CREATE VIEW smartem_refined.v_timeseries AS
SELECT device_id, device_meta, sensor_meta, name, label, unit, value, value_raw, value_min, value_max,
    time, day, hour, sample_count, point, gid, gid_raw, ST_X(point) AS lon, ST_Y(point) AS lat,
    extract(epoch FROM time)::double precision AS timestamp, station
FROM smartem_refined.timeseries;

CREATE VIEW smartem_refined.stations AS
SELECT st.key::bigint AS gid,
    smartem.device_id(st.id) AS device_id,
    st.station_type AS device_meta,
    coalesce(w.point, st.declared)::geometry(Point,4326) AS point,
    coalesce(w.alt, st.declared_alt) AS altitude,
    n.time AS last_update,
    ST_X(coalesce(w.point, st.declared)) AS lon,
    ST_Y(coalesce(w.point, st.declared)) AS lat,
    st.id AS station,
    st.project AS project
FROM smartem.station st
JOIN (SELECT s.station_key, max(s.last_time) AS time FROM smartem_refined.series s
    WHERE s.last_time IS NOT NULL GROUP BY s.station_key) n ON n.station_key = st.key
LEFT JOIN LATERAL (SELECT l.point, l.alt FROM smartem.location l
    WHERE l.station_key = st.key ORDER BY l.valid_from DESC LIMIT 1) w ON true;

CREATE VIEW smartem_refined.refiner_progress AS
SELECT h.change AS gid,
    NULL::timestamptz AS insert_time,
    smartem.row_id(h.station_key, h.hour) AS gid_raw,
    smartem.device_id(st.id) AS device_id,
    smartem.day_number(h.hour) AS day,
    smartem.hour_number(h.hour) AS hour,
    st.id AS station
FROM (SELECT change, station_key, hour FROM smartem_refined.station_hour
    ORDER BY change DESC, station_key DESC, hour DESC LIMIT 1) h
JOIN smartem.station st ON st.key = h.station_key;

CREATE VIEW smartem_refined.etl_progress AS
SELECT row_number() OVER (ORDER BY c.process, c.source) AS gid,
    c.process AS worker,
    'timeseries'::text AS source_table,
    (c.position ->> 'change')::bigint AS last_gid,
    c.updated_at AT TIME ZONE 'UTC' AS last_update
FROM smartem.checkpoint c
WHERE c.partition = 'changes' AND c.position ->> 'change' IS NOT NULL;

-- smartem_rt

CREATE VIEW smartem_rt.last_device_output AS
SELECT s.key::bigint AS gid,
    concat_ws('-', st.id, s.sensor, s.indicator) AS unique_id,
    NULL::timestamptz AS insert_time,
    smartem.device_id(st.id) AS device_id,
    coalesce(st.name, 'station ' || st.id) AS device_name,
    coalesce(split_part(regexp_replace(d.text, '^stetl ', ''), '@', 1), st.station_type) AS device_meta,
    s.sensor AS sensor_meta,
    s.indicator AS name,
    s.label AS label,
    s.unit AS unit,
    l.end_time AS time,
    o.raw AS value_raw,
    (l.end_time <= now() - interval '2 hours')::integer AS value_stale,
    l.value AS value,
    CASE WHEN l.from_snapshot AND p.lon IS NOT NULL THEN p.alt
        WHEN o.point IS NOT NULL THEN o.alt ELSE coalesce(w.alt, st.declared_alt) END AS altitude,
    coalesce(ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4326), o.point, w.point, st.declared)::geometry(Point,4326)
        AS point,
    st.id AS station,
    st.project AS project
FROM smartem_rt.last_value l
JOIN smartem_refined.series s ON s.key = l.series_key
JOIN smartem.station st ON st.key = s.station_key
LEFT JOIN smartem_raw.raw_snapshot p ON p.station_key = s.station_key AND l.from_snapshot
-- One look-up by the key for each value; with the limit no plan reads all observations.
LEFT JOIN LATERAL (SELECT v.raw, v.alt, v.point, v.definition FROM smartem_refined.observation v
    WHERE v.series_key = l.series_key AND v.start_time = l.start_time AND NOT l.from_snapshot
    LIMIT 1) o ON true
LEFT JOIN smartem.term d ON d.key = o.definition
LEFT JOIN LATERAL (SELECT x.point, x.alt FROM smartem.location x
    WHERE x.station_key = s.station_key ORDER BY x.valid_from DESC LIMIT 1) w ON true;

CREATE VIEW smartem_rt.stations AS
SELECT st.key::bigint AS gid,
    smartem.device_id(st.id) AS device_id,
    smartem.device_subid(smartem.device_id(st.id)) AS device_subid,
    smartem.project_id(smartem.device_id(st.id)) AS project_id,
    coalesce(st.name, 'station ' || st.id) AS device_name,
    st.station_type AS device_meta,
    coalesce(ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4326), w.point, st.declared)::geometry(Point,4326) AS point,
    CASE WHEN p.lon IS NOT NULL THEN p.alt ELSE coalesce(w.alt, st.declared_alt) END AS altitude,
    (n.time <= now() - interval '2 hours')::integer AS value_stale,
    n.time AS last_update,
    coalesce(p.lon, ST_X(w.point), st.declared_lon) AS lon,
    coalesce(p.lat, ST_Y(w.point), st.declared_lat) AS lat,
    st.id AS station,
    st.project AS project
FROM smartem.station st
JOIN (SELECT s.station_key, max(l.end_time) AS time FROM smartem_rt.last_value l
    JOIN smartem_refined.series s ON s.key = l.series_key GROUP BY s.station_key) n
    ON n.station_key = st.key
LEFT JOIN smartem_raw.raw_snapshot p ON p.station_key = st.key
LEFT JOIN LATERAL (SELECT x.point, x.alt FROM smartem.location x
    WHERE x.station_key = st.key ORDER BY x.valid_from DESC LIMIT 1) w ON true
ORDER BY device_id, station;

CREATE VIEW smartem_rt.v_last_measurements AS
SELECT device_id, device_name, device_meta, sensor_meta, label, unit, name, value_raw, value_stale,
    time AS sample_time, value, point, gid, unique_id, ST_X(point) AS lon, ST_Y(point) AS lat,
    extract(epoch FROM time)::double precision AS timestamp, station, project
FROM smartem_rt.last_device_output WHERE value_stale = 0 ORDER BY name, device_id, station;

CREATE VIEW smartem_rt.v_cur_measurements AS
SELECT gid, unique_id, device_id, device_name, device_meta, sensor_meta, label, unit, name, value_raw,
    value_stale, time AS sample_time, value, point, altitude, ST_X(point) AS lon, ST_Y(point) AS lat,
    extract(epoch FROM time)::double precision AS timestamp, station, project
FROM smartem_rt.last_device_output
WHERE value_stale = 0 AND time > now() - interval '120 minutes' ORDER BY device_id, station;

CREATE VIEW smartem_rt.v_cur_stations AS
SELECT * FROM smartem_rt.stations WHERE value_stale = 0;

-- One view for each indicator.
DO $$
DECLARE
    suffix text;
    indicator text;
BEGIN
    FOR suffix, indicator IN VALUES
        ('co2', 'co2'), ('co', 'co'), ('co_raw', 'coraw'), ('no', 'no'), ('no_raw', 'noraw'),
        ('no2', 'no2'), ('no2_raw', 'no2raw'), ('o3', 'o3'), ('o3_raw', 'o3raw'), ('pm10', 'pm10'),
        ('pm25', 'pm2_5'), ('temperature', 'temperature'), ('humidity', 'humidity'),
        ('barometer', 'pressure'), ('noise_avg', 'noiseavg'), ('noise_level_avg', 'noiselevelavg')
    LOOP
        EXECUTE format('CREATE VIEW smartem_refined.v_timeseries_%s AS
            SELECT device_id, device_meta, sensor_meta, name, label, unit, value, value_raw, value_min,
                value_max, time, day, hour, sample_count, point, gid, gid_raw, station
            FROM smartem_refined.timeseries WHERE name = %L', suffix, indicator);
        EXECUTE format('COMMENT ON VIEW smartem_refined.v_timeseries_%s IS %L', suffix,
            'Hourly values of ' || indicator || '.');
        EXECUTE format('CREATE VIEW smartem_rt.v_last_measurements_%s AS
            SELECT device_id, device_name, device_meta, sensor_meta, label, unit, name, value_raw,
                value_stale, time AS sample_time, value, point, gid, unique_id, station, project
            FROM smartem_rt.last_device_output WHERE value_stale = 0 AND name = %L
            ORDER BY device_id, station, gid DESC', suffix, indicator);
        EXECUTE format('COMMENT ON VIEW smartem_rt.v_last_measurements_%s IS %L', suffix,
            'The newest values of ' || indicator || ' that are not stale.');
        IF suffix NOT LIKE '%\_raw' THEN
            EXECUTE format('CREATE VIEW smartem_rt.v_cur_measurements_%s AS
                SELECT gid, unique_id, device_id, device_name, device_meta, sensor_meta, label, unit,
                    name, value_raw, value_stale, time AS sample_time, value, point, altitude,
                    ST_X(point) AS lon, ST_Y(point) AS lat,
                    extract(epoch FROM time)::double precision AS timestamp, station, project
                FROM smartem_rt.last_device_output
                WHERE value_stale = 0 AND time > now() - interval ''120 minutes'' AND name = %L
                ORDER BY device_id, station', suffix, indicator);
            EXECUTE format('COMMENT ON VIEW smartem_rt.v_cur_measurements_%s IS %L', suffix,
                'Values of ' || indicator || ' of the last two hours.');
        END IF;
    END LOOP;
END
$$;

-- smartem_calibrated, smartem_extracted, smartem_harvest_rivm, smartem_meta

CREATE VIEW smartem_calibrated.calibration_models AS
SELECT id, parameters::json AS parameters, model, input_order::json AS input_order, predicts, score, n,
    invalid, made_at AS timestamp, source
FROM smartem_calibrated.imported_model;

CREATE VIEW smartem_calibrated.calibration_parameters AS
SELECT NULL::bigint AS id, NULL::bigint AS search_id, NULL::integer AS setting_id, NULL::text AS predicts,
    NULL::text AS parameter, NULL::text AS value, NULL::double precision AS mean_test_score,
    NULL::double precision AS std_test_score, NULL::integer AS rank_test_score,
    NULL::double precision AS mean_train_score, NULL::double precision AS std_train_score,
    NULL::double precision AS mean_fit_time, NULL::double precision AS std_fit_time,
    NULL::integer AS n, NULL::timestamptz AS timestamp
WHERE false;

CREATE VIEW smartem_calibrated.calibration_state AS
SELECT st.key::bigint AS id, 'refiner'::text AS process, NULL::bigint AS model_id, h.state::json AS state,
    h.hour + interval '1 hour' AS timestamp, st.id AS station
FROM smartem.station st
CROSS JOIN LATERAL (SELECT n.state, n.hour FROM smartem_refined.station_hour n
    WHERE n.station_key = st.key ORDER BY n.hour DESC LIMIT 1) h
WHERE h.state <> 'null';

CREATE VIEW smartem_extracted.extractor_progress AS
SELECT row_number() OVER (ORDER BY c.source) AS id, (c.position ->> 'change')::bigint AS last_gid,
    'all'::text AS name, c.updated_at AS last_update
FROM smartem.checkpoint c
WHERE c.process = 'extractor' AND c.partition = 'changes' AND c.position ->> 'change' IS NOT NULL;

CREATE VIEW smartem_harvest_rivm.progress AS
SELECT row_number() OVER (ORDER BY c.source, c.partition) AS id,
    (extract(epoch FROM (c.position ->> 'settled')::timestamptz) * 1000)::bigint AS timestamp,
    c.partition AS name, c.updated_at AS last_update
FROM smartem.checkpoint c
WHERE c.process = 'harvester-rivm' AND c.position ->> 'settled' IS NOT NULL;

CREATE VIEW smartem_meta.project AS
SELECT smartem.project_id(d.id) AS id, smartem.device_subid(d.id) AS sub_id, d.id AS full_id,
    coalesce(d.project, '') AS name, coalesce(d.name, '') AS sub_name, d.station AS tag,
    d.station_type AS device, ''::text AS description, d.first_seen AS last_update, d.station
FROM (SELECT smartem.device_id(st.id) AS id, st.id AS station, st.project, st.name, st.station_type,
    st.first_seen FROM smartem.station st) d
WHERE d.id IS NOT NULL;

COMMENT ON VIEW smartem_raw.timeseries IS 'Raw records: one for each station and hour.';
COMMENT ON VIEW smartem_raw.timeseries_current IS 'Raw records of the hour that runs.';
COMMENT ON VIEW smartem_raw.timeseries_last IS 'Raw records that are still growing.';
COMMENT ON VIEW smartem_raw.harvester_progress IS 'The newest raw record of each station.';
COMMENT ON VIEW smartem_refined.timeseries IS 'Hourly refined values.';
COMMENT ON VIEW smartem_refined.v_timeseries IS 'Hourly refined values with coordinates as numbers.';
COMMENT ON VIEW smartem_refined.stations IS 'Stations that have refined values, where they are.';
COMMENT ON VIEW smartem_refined.refiner_progress IS 'The hour that was refined last.';
COMMENT ON VIEW smartem_refined.etl_progress IS 'How far the chains got that read this store.';
COMMENT ON VIEW smartem_rt.last_device_output IS 'The newest value of each station, indicator and sensor.';
COMMENT ON VIEW smartem_rt.stations IS 'Stations that have a newest value, where they are.';
COMMENT ON VIEW smartem_rt.v_last_measurements IS 'Newest values that are not stale.';
COMMENT ON VIEW smartem_rt.v_cur_measurements IS 'Values of the last two hours.';
COMMENT ON VIEW smartem_rt.v_cur_stations IS 'Stations that have a value of the last two hours.';
COMMENT ON VIEW smartem_calibrated.calibration_models IS 'Models of an original database, kept and not in use.';
COMMENT ON VIEW smartem_calibrated.calibration_parameters IS 'Always empty: searches for parameters are not kept.';
COMMENT ON VIEW smartem_calibrated.calibration_state IS 'The state that the newest refined hour of each station hands on.';
COMMENT ON VIEW smartem_extracted.extractor_progress IS 'How far the process `extractor` got.';
COMMENT ON VIEW smartem_harvest_rivm.progress IS 'How far the process `harvester-rivm` got with each series.';
COMMENT ON VIEW smartem_meta.project IS 'Stations with a number, and their projects.';

-- A column has one meaning in all views, but for a few.
DO $$
DECLARE
    of_column record;
BEGIN
    FOR of_column IN
        SELECT n.nspname AS of_schema, c.relname AS view, a.attname AS name,
            coalesce(special.meaning, usual.meaning) AS meaning
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN (VALUES
            ('smartem_raw.timeseries', 'gid', 'A number made of station and hour; not an order.'),
            ('smartem_raw.timeseries_current', 'gid', 'A number made of station and hour; not an order.'),
            ('smartem_raw.timeseries_last', 'gid', 'A number made of station and hour; not an order.'),
            ('smartem_raw.harvester_progress', 'gid', 'The number of the station.'),
            ('smartem_refined.stations', 'gid', 'The number of the station.'),
            ('smartem_rt.stations', 'gid', 'The number of the station.'),
            ('smartem_rt.v_cur_stations', 'gid', 'The number of the station.'),
            ('smartem_refined.refiner_progress', 'gid', 'The change that wrote the hour.'),
            ('smartem_refined.etl_progress', 'gid', 'The number of the row.'),
            ('smartem_refined.etl_progress', 'last_update', 'When it moved, UTC.'),
            ('smartem_extracted.extractor_progress', 'name', 'Always `all`.'),
            ('smartem_extracted.extractor_progress', 'last_update', 'When it moved.'),
            ('smartem_harvest_rivm.progress', 'timestamp', 'Milliseconds since 1970: all before is in the store.'),
            ('smartem_harvest_rivm.progress', 'name', 'The series, by the id that its source gives it.'),
            ('smartem_harvest_rivm.progress', 'last_update', 'When it moved.'),
            ('smartem_calibrated.calibration_models', 'timestamp', 'When it was made.'),
            ('smartem_calibrated.calibration_state', 'timestamp', 'The end of the hour.'),
            ('smartem_calibrated.calibration_models', 'n', 'With how many samples it was trained.'),
            ('smartem_meta.project', 'id', 'The project part of the device number.'),
            ('smartem_meta.project', 'name', 'The project.'),
            ('smartem_meta.project', 'last_update', 'When the first record of the station arrived.'),
            ('smartem_raw.timeseries', 'insert_time', 'When the record came.'),
            ('smartem_raw.timeseries_current', 'insert_time', 'When the record came.'),
            ('smartem_raw.timeseries_last', 'insert_time', 'When the record came.'),
            ('smartem_raw.harvester_progress', 'insert_time', 'When the record came.')
        ) AS special (view, name, meaning)
            ON special.view = n.nspname || '.' || c.relname AND special.name = a.attname
        LEFT JOIN (VALUES
            ('gid', 'A number that no other row of the view has, always the same for the same row; not an order.'),
            ('gid_raw', 'The gid that the raw record of the hour has, or would have, in smartem_raw.timeseries.'),
            ('unique_id', 'Station and what else tells the row from others.'),
            ('insert_time', 'NULL: it is not kept.'),
            ('device_id', 'The number of the station; NULL where its id is no number.'),
            ('device_subid', 'device_id without its project part.'),
            ('project_id', 'The project part of device_id, as the original cut it; `project` is what to go by.'),
            ('device_name', 'The name of the station.'),
            ('device_meta', 'Station type and version; where no version is known, the type.'),
            ('device_type', 'The station type.'),
            ('device_version', 'Always 1: what else a record says is in its content.'),
            ('sensor_meta', 'The sensor.'),
            ('name', 'The indicator.'),
            ('label', 'The indicator in words.'),
            ('unit', 'The unit of the values, a UCUM code.'),
            ('time', 'The end of the hour; of newest values, the time of the sample or the end of the hour.'),
            ('sample_time', 'The time of the sample, or the end of the hour.'),
            ('timestamp', 'The time in seconds since 1970.'),
            ('day', 'The day as yyyymmdd, UTC.'),
            ('hour', 'The hour of the day, 1 to 24, UTC: 1 begins at 00:00.'),
            ('data', 'NULL: the samples are kept compressed; `smartem` and its services give them as JSON.'),
            ('complete', 'Whether the hour does not grow any more.'),
            ('value', 'The value, unrounded.'),
            ('value_min', 'The least of the samples.'),
            ('value_max', 'The greatest of the samples.'),
            ('value_raw', 'The mean of what was measured, before it was calibrated; NULL for a value of a single sample.'),
            ('value_stale', '1: older than two hours; 0: not. The setting serve.stale_after does not reach here.'),
            ('sample_count', 'How many samples were used.'),
            ('altitude', 'Metres; NULL where it is not known.'),
            ('point', 'Where it was, WGS 84.'),
            ('lon', 'Longitude, degrees.'),
            ('lat', 'Latitude, degrees.'),
            ('last_update', 'The time of the newest value.'),
            ('station', 'The id of the station.'),
            ('project', 'The project of the station; NULL: of none.'),
            ('worker', 'The process.'),
            ('source_table', 'Always `timeseries`.'),
            ('last_gid', 'The change up to which all was read.'),
            ('id', 'A number that no other row has.'),
            ('parameters', 'The weights of running means, by input.'),
            ('model', 'A Python pickle, kept and not in use.'),
            ('input_order', 'The inputs in their order.'),
            ('predicts', 'The gas, as the original names it.'),
            ('score', 'How well it did (R2).'),
            ('invalid', 'Whether the original had set it aside.'),
            ('source', 'The database that it came from.'),
            ('process', 'Always `refiner`.'),
            ('model_id', 'NULL: a state is not of one model.'),
            ('state', 'What is handed on to the next hour.'),
            ('sub_id', 'The rest of the device number.'),
            ('full_id', 'The device number.'),
            ('sub_name', 'The name of the station.'),
            ('tag', 'The id of the station.'),
            ('device', 'The station type.'),
            ('description', 'Empty.')
        ) AS usual (name, meaning) ON usual.name = a.attname
        WHERE c.relkind = 'v' AND n.nspname LIKE 'smartem\_%'
    LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', of_column.of_schema, of_column.view,
            of_column.name, coalesce(of_column.meaning, 'Never filled.'));
    END LOOP;
END
$$;
