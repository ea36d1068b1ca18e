"""A body that begins with a byte order mark is rejected with that reason."""

import json

import pytest

from producer_api.events.batch import split
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason
from tests.unit.producer_api.around import CONTEXT, REQUIRED

_MARK = b"\xef\xbb\xbf"


def test_an_event_after_a_byte_order_mark_names_the_mark() -> None:
    """Editors hide it, so an error at "character 0" would not help."""
    with pytest.raises(Rejected) as caught:
        parse(_MARK + json.dumps(REQUIRED).encode(), CONTEXT)

    assert caught.value.reason is RejectReason.INVALID_JSON
    assert "it begins with a byte order mark" in caught.value.sentence()


def test_a_batch_after_a_byte_order_mark_names_the_mark() -> None:
    """The reason is the same as for a single event."""
    with pytest.raises(Rejected) as caught:
        split(_MARK + json.dumps([REQUIRED]).encode(), b"application/json")

    assert "it begins with a byte order mark" in caught.value.sentence()
