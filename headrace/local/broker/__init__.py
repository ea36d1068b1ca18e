"""A local Apache Kafka broker without Docker: a single KRaft node that listens on 127.0.0.1."""
