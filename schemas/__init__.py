"""The contract: event types, Avro records, topics, codec, rejection reasons, settings. No I/O."""
