"""Times on the terminal."""

from datetime import UTC, datetime


def utc(ms: int) -> str:
    """Format a time (ms) in UTC; return the number if it is out of range."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
