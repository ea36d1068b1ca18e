"""Fuzzers, which `make fuzz` runs."""
