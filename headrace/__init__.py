"""The `headrace` command: roles, the local broker, and operations."""
