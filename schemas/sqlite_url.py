"""SQLite URLs: `sqlite:///` and a file's path, byte for byte. No I/O."""

import re

PREFIX = "sqlite:///"

_PARAMETERS = re.compile(r"[^/]*\?([A-Za-z_]+)=[^/]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_sqlite_url(url: str) -> str:
    """Return the path: all that follows `sqlite:///`, nothing decoded or normalised.

    Relative to the working directory unless it begins with `/`. Raises ValueError with a
    sentence for what is no file: nothing, a directory, `:memory:`, `file:` and parameters.
    """
    if not url.startswith(PREFIX):
        raise ValueError(f"must begin with {PREFIX}")
    path = url.removeprefix(PREFIX)
    name = path.rpartition("/")[2]
    if not path.strip("/") or name in ("", ".", ".."):
        raise ValueError("names no file: sqlite:///headrace.db")
    if path.startswith((":memory:", "file:")):
        raise ValueError("must name a file, which several processes share: sqlite:///headrace.db")
    if found := _PARAMETERS.fullmatch(name):
        raise ValueError(f"has the parameter {found[1]}, but a SQLite file takes none")
    if _CONTROL.search(path):
        raise ValueError("has a control character, such as a line end, in its path")
    return path
