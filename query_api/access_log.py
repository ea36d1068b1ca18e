"""The access log: one line per request, without secrets and personal data.

It contains neither the query string, which may have a token, nor the client's address.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_log = logging.getLogger(__name__)

#: Paths that are polled every few seconds, and not logged.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
#: The files of the dashboard, which are not logged either.
_FILES = re.compile(r"/page/\w+\.\w+")
_MAX_CHARACTERS = 200
#: A token that was pasted into the path.
_TOKEN = re.compile(r"hr[a-z]?_[\w%-]{16,}")


def log_request(scope: Mapping[str, Any], outcome: str, seconds: float) -> None:
    """Log a request. `outcome` is the status and, for errors, the code of the response."""
    if scope["path"] not in _QUIET and not _FILES.fullmatch(scope["path"]):
        _log.info(
            "%s %s %s, %.0f ms", scope["method"], _loggable_path(scope), outcome, 1_000 * seconds
        )


def log_stream_end(scope: Mapping[str, Any], seconds: float) -> None:
    """Log the end of a stream."""
    _log.info("%s %s ended after %.1f s", scope["method"], _loggable_path(scope), seconds)


def _loggable_path(scope: Mapping[str, Any]) -> str:
    """Return the path without tokens and control characters, truncated."""
    path = _TOKEN.sub("hr_…", quote(scope["path"], safe="/:@!$&'()*+,;=~", errors="replace"))
    return path if len(path) <= _MAX_CHARACTERS else f"{path[:_MAX_CHARACTERS]}…"
