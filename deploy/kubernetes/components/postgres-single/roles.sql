-- What an administrator does for smartem: roles, database, extension. `smartem store migrate` makes the rest.
\set ON_ERROR_STOP on
-- Statements with passwords are not for the log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['smartem_owner', 'smartem_writer', 'smartem_api', 'smartem_reader', 'smartem_backup']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
\getenv admin ADMIN_PASSWORD
\getenv owner OWNER_PASSWORD
\getenv writer WRITER_PASSWORD
\getenv api API_PASSWORD
ALTER ROLE postgres PASSWORD :'admin';
ALTER ROLE smartem_owner PASSWORD :'owner';
ALTER ROLE smartem_writer PASSWORD :'writer';
ALTER ROLE smartem_api PASSWORD :'api';
SELECT 'CREATE DATABASE smartem OWNER smartem_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'smartem')
\gexec
\connect smartem
CREATE EXTENSION IF NOT EXISTS postgis;
