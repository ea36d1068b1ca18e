"""Senders of events: replay of files, and simulated visitors."""
