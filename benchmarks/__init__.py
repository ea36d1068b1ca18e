"""Benchmarks: run `make bench` or `make bench-NAME`; the results are in docs/benchmarks.md."""
