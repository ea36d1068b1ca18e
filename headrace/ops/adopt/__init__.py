"""`headrace adopt-cluster`: move a database to another Kafka cluster (ADR 43)."""
