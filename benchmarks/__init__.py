"""Benchmarks: `make bench`, `make bench-NAME`; what they found is in docs/benchmarks.md."""
