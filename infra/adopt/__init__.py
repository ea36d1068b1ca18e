"""`headrace adopt-cluster`: continue a database with another Kafka cluster (ADR 43)."""
