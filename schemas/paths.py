"""The page path of an event: one rule for streams and sinks."""

from schemas.urls import MAX_PATH_CHARACTERS, location_of

__all__ = ["MAX_PATH_CHARACTERS", "NO_PATH", "path_of"]

#: The path of events without one.
NO_PATH = "(none)"


def path_of(path: str | None, url: str | None) -> str:
    """Return `path`, else the path of `url`, else `(none)`. Never raises."""
    return path or (location_of(url).path if url else None) or NO_PATH
