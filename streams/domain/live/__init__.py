"""Rules of live counters."""
