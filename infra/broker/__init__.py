"""A real Apache Kafka broker on this machine, without Docker: one node, KRaft, 127.0.0.1 only."""
