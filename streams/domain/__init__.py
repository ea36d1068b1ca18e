"""The rules: pure functions of state, event and time. No Faust, Kafka, clock or environment."""
