"""Parsing of SQLite URLs: `sqlite:///` and a path. No I/O."""

import re

PREFIX = "sqlite:///"

_PARAMETERS = re.compile(r"[^/]*\?([A-Za-z_]+)=[^/]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_sqlite_url(url: str) -> str:
    """Return the path after `sqlite:///`, neither decoded nor normalized.

    It is relative to the working directory unless it begins with `/`. Raises ValueError if it does
    not name a file: an empty path, a directory, `:memory:`, `file:` and parameters.
    """
    if not url.startswith(PREFIX):
        raise ValueError(f"must begin with {PREFIX}")
    path = url.removeprefix(PREFIX)
    name = path.rpartition("/")[2]
    if not path.strip("/") or name in ("", ".", ".."):
        raise ValueError("names no file: sqlite:///headrace.db")
    if path.startswith((":memory:", "file:")):
        raise ValueError(
            "must name a file, because several processes share it: sqlite:///headrace.db"
        )
    if match := _PARAMETERS.fullmatch(name):
        raise ValueError(f"has the parameter {match[1]}, but SQLite URLs do not support parameters")
    if _CONTROL.search(path):
        raise ValueError("has a control character, such as a line break, in its path")
    return path
