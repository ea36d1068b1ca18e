"""From the bytes of a request to validated events."""
