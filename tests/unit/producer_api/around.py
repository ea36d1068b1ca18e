"""A parse context with a fixed clock and id, and functions that parse events in it."""

import json
from typing import Any

from producer_api.events.draft import EventContext
from producer_api.events.import_sites import ImportSites
from producer_api.events.parse import parse
from schemas import codec
from schemas.records import RawEvent

NOW = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
SERVER_ID = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"
CONTEXT = EventContext(lambda: NOW, lambda: SERVER_ID, ImportSites({"archive"}, lambda: NOW))
REQUIRED = {"type": "pageview", "site_id": "shop", "session_id": "s-1"}


def read(**fields: Any) -> RawEvent:
    """Parse an event with the required fields and `fields`."""
    return read_json(json.dumps(REQUIRED | fields).encode())


def read_json(raw: bytes) -> RawEvent:
    """Parse an event and decode its record as a consumer does."""
    return codec.decode(parse(raw, CONTEXT).value, RawEvent)
