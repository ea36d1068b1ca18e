"""Rules of page durations."""
