"""The agents of the role `sinks`."""
