"""Commands of operators: audit, rebuild, dead letters, status, adoption of a cluster."""
