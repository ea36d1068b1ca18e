"""Requests of other systems' clients, and what became of their events."""

from typing import Any

import msgspec

from producer_api.events.dialects.model import Outcome
from producer_api.events.request import Request

ACCEPTED = Outcome(
    202, [{"index": 0, "status": "accepted", "event_id": "e1"}], [{"session_id": "s1"}]
)
REJECTED = Outcome(
    403,
    [{"index": 0, "status": "rejected", "error": "Not registered", "code": "unknown_site"}],
    [{"session_id": "s1"}],
)
NOTHING = Outcome(202)


def post(content: Any, path: str = "/", **headers: str) -> Request:
    """Return a request with a JSON body; names of headers have underscores for hyphens."""
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Request("POST", path, headers=sent, body=body)
