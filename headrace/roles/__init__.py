"""The roles as processes: HTTP applications, status, metrics, logs."""
