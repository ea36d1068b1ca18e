"""Fuzzers; none is a test, `make fuzz` runs them."""
