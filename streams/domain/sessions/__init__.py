"""Rules of sessions."""
