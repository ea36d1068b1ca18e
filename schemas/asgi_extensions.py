"""An ASGI extension of the server, and canonical paths, for both HTTP roles."""

import re

#: Key in the `state` of an ASGI scope: a function that limits the connection's write buffer, for
#: clients that do not read the response.
LIMIT_WRITE_BUFFER = "headrace.limit_write_buffer"

_SLASHES = re.compile("/{2,}")


def canonical_path(path: str) -> str:
    """Merge slashes and remove trailing ones: `//api/event/` is `/api/event`.

    A line feed is encoded, because `$` in route patterns also matches before a trailing one.
    """
    return (_SLASHES.sub("/", path).rstrip("/") or "/").replace("\n", "%0A")
