"""The access log: a line for each request, with nothing in it that opens or identifies anything.

Neither the query string, which can hold a token, nor the client's address is logged.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_log = logging.getLogger(__name__)

#: Read every few seconds by machines.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
#: The files of the page, which come with it.
_FILES = re.compile(r"/page/\w+\.\w+")
_SHOWN_CHARACTERS = 200
#: What looks like a token, wherever in the path it was pasted.
_TOKEN = re.compile(r"hr[a-z]?_[\w%-]{16,}")


def log_request(scope: Mapping[str, Any], outcome: str, seconds: float) -> None:
    """Log how a request ended: `outcome` is its status, with the code of an error."""
    if scope["path"] not in _QUIET and not _FILES.fullmatch(scope["path"]):
        _log.info("%s %s %s, %.0f ms", scope["method"], _shown(scope), outcome, 1_000 * seconds)


def log_stream_end(scope: Mapping[str, Any], seconds: float) -> None:
    """Log that a stream is over."""
    _log.info("%s %s ended after %.1f s", scope["method"], _shown(scope), seconds)


def _shown(scope: Mapping[str, Any]) -> str:
    """Return the path without line breaks or other control characters."""
    path = _TOKEN.sub("hr_…", quote(scope["path"], safe="/:@!$&'()*+,;=~", errors="replace"))
    return path if len(path) <= _SHOWN_CHARACTERS else f"{path[:_SHOWN_CHARACTERS]}…"
