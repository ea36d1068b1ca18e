"""Event ids are stored in lower case, so that a repetition in upper case is a duplicate."""

import json

import pytest

from producer_api.events.client import NO_CLIENT
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from schemas.codec import decode
from schemas.headers import EVENT_ID
from schemas.records import RawEvent
from tests.unit.producer_api.around import CONTEXT, REQUIRED

pytest.importorskip("producer_api.events.event_compiled", reason="no C compiler")

LOWER = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"


@pytest.mark.parametrize("read", [parse, read_fast])
def test_an_upper_case_event_id_is_stored_in_lower_case(read: object) -> None:
    """On the fast path and in `parse`, in the record and its header."""
    assert callable(read)
    encoded = read(json.dumps(REQUIRED | {"event_id": LOWER.upper()}).encode(), CONTEXT, NO_CLIENT)

    assert encoded is not None
    assert encoded.event_id == LOWER
    assert decode(encoded.value, RawEvent).event_id == LOWER
    assert dict(encoded.headers)[EVENT_ID] == bytes.fromhex(LOWER.replace("-", ""))
