-- What each role may do; run after the migrations, as the owner. Granting again changes nothing.

GRANT USAGE ON SCHEMA smartem, smartem_raw, smartem_refined, smartem_rt, smartem_calibrated,
        smartem_extracted, smartem_harvest_rivm, smartem_meta, smartem_sta
    TO smartem_writer, smartem_api, smartem_reader, smartem_backup;

-- smartem_writer: the collector and the ETL processes.
GRANT SELECT, INSERT, UPDATE, DELETE
    ON ALL TABLES IN SCHEMA smartem, smartem_raw, smartem_refined, smartem_rt, smartem_calibrated,
        smartem_extracted, smartem_harvest_rivm, smartem_meta, smartem_sta
    TO smartem_writer;
REVOKE INSERT, UPDATE, DELETE ON smartem.schema_version, smartem.identity FROM smartem_writer;
-- A backup of the store, which the writer makes, also reads how far the sequences are.
GRANT USAGE, SELECT ON ALL SEQUENCES
    IN SCHEMA smartem, smartem_raw, smartem_refined, smartem_rt, smartem_calibrated,
        smartem_extracted, smartem_harvest_rivm, smartem_meta, smartem_sta
    TO smartem_writer;
GRANT EXECUTE ON FUNCTION smartem_refined.ensure_month, smartem_refined.drop_month TO smartem_writer;

-- smartem_api: the services. They read all, and write when a token was used and what clients of
-- SensorThings write.
GRANT SELECT
    ON ALL TABLES IN SCHEMA smartem, smartem_raw, smartem_refined, smartem_rt, smartem_calibrated,
        smartem_extracted, smartem_harvest_rivm, smartem_meta, smartem_sta
    TO smartem_api, smartem_backup, smartem_reader;
GRANT UPDATE (last_used) ON smartem.token TO smartem_api;

-- What clients of SensorThings write. Such a write is a change that readers see, and its datastreams are
-- numbered together with series.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA smartem_sta TO smartem_api;
REVOKE INSERT, UPDATE, DELETE ON smartem_sta.stale FROM smartem_api;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA smartem_sta TO smartem_api;
GRANT USAGE ON SEQUENCE smartem_refined.series_key_seq TO smartem_api;
GRANT UPDATE (value) ON smartem.meta TO smartem_api;

-- smartem_reader: people; all but the hashes of tokens.
REVOKE SELECT ON smartem.token FROM smartem_reader;
GRANT SELECT (id, name, rights, project, created_at, last_used, expires_at, revoked_at)
    ON smartem.token TO smartem_reader;

-- smartem_backup: pg_dump also reads sequences.
GRANT SELECT ON ALL SEQUENCES
    IN SCHEMA smartem, smartem_raw, smartem_refined, smartem_rt, smartem_calibrated,
        smartem_extracted, smartem_harvest_rivm, smartem_meta, smartem_sta
    TO smartem_backup;

-- Partitions that are made later. Rows are written through their parent, which needs no right on them.
ALTER DEFAULT PRIVILEGES IN SCHEMA smartem_refined
    GRANT SELECT ON TABLES TO smartem_api, smartem_reader, smartem_backup;
