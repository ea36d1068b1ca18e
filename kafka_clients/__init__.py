"""Kafka clients, created from the settings. Other packages must not create their own."""
