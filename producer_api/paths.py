"""The paths that take events."""

from schemas.asgi import canonical_path

EVENT_PATH = "/api/event"
BATCH_PATH = "/api/events"
EVENT_PATHS = frozenset({EVENT_PATH, BATCH_PATH})

_BELOW = tuple(f"{path}/" for path in EVENT_PATHS)


def route_path(path: str) -> str:
    """Return the path that routes are looked up by; duplicate and trailing slashes do not count."""
    return path if path in EVENT_PATHS else canonical_path(path)


def is_of_events(path: str) -> bool:
    """Return True for a canonical path that takes events, and for what is below one."""
    return path in EVENT_PATHS or path.startswith(_BELOW)
