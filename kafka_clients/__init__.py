"""Kafka clients, made from the settings: the only place that constructs any."""
