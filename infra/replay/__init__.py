"""Sends recorded events through HTTP: `headrace replay`."""
