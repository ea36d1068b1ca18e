-- The database roles of headrace. Run it once in its database, as a superuser or the owner of the
-- database; safe to repeat. Then set a password for each role that you use, and run
-- `headrace db upgrade` as headrace_owner, and grants.sql.
--
-- headrace_owner   headrace db upgrade, restore: owns the tables
-- headrace_sinks   the role sinks
-- headrace_query   the role query
-- headrace_admin   all other commands: tokens, sites, keys, erase, rebuild, audit, backup, ...
-- headrace_report  BI tools: reads results, but no tokens, subscriptions and sites
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['owner', 'sinks', 'query', 'admin', 'report'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'headrace_' || name) THEN
            EXECUTE format('CREATE ROLE headrace_%s LOGIN', name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO headrace_%s', current_database(), name);
    END LOOP;
    -- Bulk inserts use temporary types.
    EXECUTE format(
        'GRANT TEMPORARY ON DATABASE %I TO headrace_owner, headrace_sinks, headrace_admin',
        current_database()
    );
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO headrace_owner;
GRANT USAGE ON SCHEMA public TO headrace_sinks, headrace_query, headrace_admin, headrace_report;
