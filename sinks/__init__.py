"""The role `sinks`: writes results to SQL, and delivers alerts."""
