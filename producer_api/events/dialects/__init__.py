"""Dialects: what clients of other systems send, as events of our API.

Each module translates the requests of one system, without I/O. `registry.py` is the table of all.
"""
