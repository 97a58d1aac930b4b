-- Observations are dropped by whole months.

-- Drops the partition of observations of the month of a time; whether there was one. Totals and newest
-- values of series are the caller's. It runs as its owner.
CREATE FUNCTION smartem_refined.drop_month(month timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', month AT TIME ZONE 'UTC');
    name text := format('observation_%s', to_char(first, 'YYYY_MM'));
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('smartem_refined.ensure_month'));
    IF to_regclass('smartem_refined.' || quote_ident(name)) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE smartem_refined.%I', name);
    RETURN true;
END
$$;
COMMENT ON FUNCTION smartem_refined.drop_month IS 'Drops the partition of observations of the month of a time; whether there was one.';
REVOKE EXECUTE ON FUNCTION smartem_refined.drop_month FROM PUBLIC;
