"""The paths that accept events."""

from schemas.asgi_extensions import canonical_path

EVENT_PATH = "/api/event"
BATCH_PATH = "/api/events"
EVENT_PATHS = frozenset({EVENT_PATH, BATCH_PATH})

_BELOW = tuple(f"{path}/" for path in EVENT_PATHS)


def route_path(path: str) -> str:
    """Return the path for route lookup, without duplicate and trailing slashes."""
    return path if path in EVENT_PATHS else canonical_path(path)


def is_event_path(path: str) -> bool:
    """Return True if a canonical path accepts events, or is below one that does."""
    return path in EVENT_PATHS or path.startswith(_BELOW)
