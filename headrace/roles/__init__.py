"""Run the roles as processes, with HTTP applications, status files, metrics and logs."""
