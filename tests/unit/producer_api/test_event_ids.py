"""Event ids are stored in lower case, so that a repetition in upper case is a duplicate."""

import json

import pytest

from producer_api.fast import read_fast
from producer_api.parse import parse
from schemas.codec import decode
from schemas.headers import EVENT_ID
from schemas.records import RawEvent
from tests.unit.producer_api.around import AROUND, REQUIRED

pytest.importorskip("producer_api.event_compiled", reason="no C compiler")

LOWER = "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"


@pytest.mark.parametrize("read", [parse, read_fast])
def test_an_upper_case_event_id_is_stored_in_lower_case(read: object) -> None:
    """On the compiled path and on the path of the rules, in the record and in its header."""
    assert callable(read)
    ready = read(json.dumps(REQUIRED | {"event_id": LOWER.upper()}).encode(), AROUND)

    assert ready is not None
    assert ready.event_id == LOWER
    assert decode(ready.value, RawEvent).event_id == LOWER
    assert dict(ready.headers)[EVENT_ID] == bytes.fromhex(LOWER.replace("-", ""))
