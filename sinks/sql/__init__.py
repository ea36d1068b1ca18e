"""SQL storage: tables, migrations and the exactly-once batch writer (design D10)."""
