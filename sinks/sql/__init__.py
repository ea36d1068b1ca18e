"""SQL: the tables, their migrations and the fenced batch writer (design D10)."""
