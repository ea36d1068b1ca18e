"""What both HTTP roles share: the extension of our server, and how paths are compared."""

import re

#: In the `state` of a request's scope: a function that limits what the connection buffers of an
#: answer that is not read.
KEEP_LITTLE = "headrace.keep_little"

_SLASHES = re.compile("/{2,}")


def canonical_path(path: str) -> str:
    """Return a path with single slashes and none at its end: `//api/event/` is `/api/event`.

    A line feed stays encoded: patterns of routes take one at the end for the end.
    """
    return (_SLASHES.sub("/", path).rstrip("/") or "/").replace("\n", "%0A")
