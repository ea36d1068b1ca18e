"""Registered sites: the topic `sites`, which is authoritative, and its mirror in SQL."""
