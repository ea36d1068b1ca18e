"""Kafka topics and the SQL schema: creation, upgrade, checks."""
