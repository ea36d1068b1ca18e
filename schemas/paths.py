"""The page that an event belongs to: one rule for streams and sinks."""

from urllib.parse import urlsplit

#: Stands for the page of an event that names none.
NO_PATH = "(none)"

MAX_PATH_CHARACTERS = 2048


def path_of(path: str | None, url: str | None) -> str:
    """Return the path as sent, else that of the url, else `(none)`; never raises."""
    if path:
        return path
    if not url:
        return NO_PATH
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an unbalanced [ in the host
        return NO_PATH
    if parts.path:
        return parts.path[:MAX_PATH_CHARACTERS]
    # A bare host, https://example.com, is its front page.
    return "/" if parts.netloc else NO_PATH
