"""Kafka clients, created from the settings. No other package creates any."""
