"""Output to terminals: progress and tables."""
