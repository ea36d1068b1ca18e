"""The page that an event belongs to: one rule for streams and sinks."""

from schemas.urls import MAX_PATH_CHARACTERS, location_of

__all__ = ["MAX_PATH_CHARACTERS", "NO_PATH", "path_of"]

#: Stands for the page of an event that names none.
NO_PATH = "(none)"


def path_of(path: str | None, url: str | None) -> str:
    """Return the path as sent, else that of the url, else `(none)`; never raises."""
    return path or (location_of(url).path if url else None) or NO_PATH
