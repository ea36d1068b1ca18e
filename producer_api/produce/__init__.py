"""From events to acknowledged Kafka records."""
