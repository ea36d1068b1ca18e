-- The privileges of the roles in roles.sql. Run it as headrace_owner after each
-- `headrace db upgrade` and `headrace restore`; safe to repeat.

-- The role sinks.
GRANT SELECT, INSERT, DELETE ON events, alerts, site_keys, blocked_ids TO headrace_sinks;
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, page_durations, deliveries, delivery_attempts, sites
    TO headrace_sinks;
GRANT SELECT, INSERT, UPDATE ON alert_sequence, consumer_offsets TO headrace_sinks;
GRANT SELECT, INSERT ON erased_hours TO headrace_sinks;
GRANT SELECT, UPDATE ON retention TO headrace_sinks;
GRANT SELECT, UPDATE, DELETE ON subscriptions TO headrace_sinks;

-- The role query.
GRANT SELECT ON events, sessions, page_durations, page_durations_hourly, alerts, delivery_attempts,
    tokens, erased_hours, retention TO headrace_query;
GRANT UPDATE (sites, revoked_at) ON tokens TO headrace_query;  -- when a site is removed
GRANT SELECT, INSERT, UPDATE ON deliveries TO headrace_query;  -- test deliveries
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions, sites TO headrace_query;
GRANT SELECT, INSERT, DELETE ON site_keys TO headrace_query;

-- Commands.
GRANT SELECT, INSERT, UPDATE, DELETE ON events, sessions, page_durations, alerts, alert_sequence,
    consumer_offsets, erased_hours, retention, tokens, sites, site_keys, blocked_ids, subscriptions,
    deliveries, delivery_attempts TO headrace_admin;
GRANT SELECT ON page_durations_hourly, alembic_version TO headrace_admin;

-- BI tools.
GRANT SELECT ON events, sessions, page_durations, page_durations_hourly, alerts TO headrace_report;
