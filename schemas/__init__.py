"""The contract: event types, Avro records, topics, codec, reject reasons and settings. No I/O."""
