import time

import pytest

from producer_api.batch import split
from producer_api.lenient import split_leniently
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason

JSON = b"application/json"


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a": 1}, 2]',
        b' \n{"x": [{"events": [5]}], "y": "events", "events" : [ {"a": 1} ,2 ], "z": {}} ',
        # Not quite JSON, so these go the lenient way.
        b'[{"a": 1}, 2, "\\ud800"]',
        b'{"x": [{"events": [5]}], "y": "events", "events" : [ {"a": 1} ,2 , NaN], "z": {}}',
    ],
)
def test_events_are_found_in_arrays_and_envelopes(body: bytes) -> None:
    """Each as it was written."""
    assert split(body, JSON)[:2] == [b'{"a": 1}', b"2"]


def test_lines_are_events_but_for_blank_ones() -> None:
    """Whatever they hold."""
    assert split(b'\r\n{"a":1}\r\n\n  \nbroken', b"Application/X-NDJSON; q=1") == [
        b'{"a":1}',
        b"broken",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", RejectReason.INVALID_JSON),
        (b"[1,", RejectReason.INVALID_JSON),
        (b"[1,]", RejectReason.INVALID_JSON),
        (b'["\\ud800",]', RejectReason.INVALID_JSON),
        (b"[" * 2_000_000, RejectReason.INVALID_JSON),
        (b'["\xff', RejectReason.INVALID_UTF8),
        (b"\xef\xbb\xbf[1]", RejectReason.INVALID_JSON),
        (b"[]", RejectReason.EMPTY_BATCH),
        (b'{"events": []}', RejectReason.EMPTY_BATCH),
        (b"{}", RejectReason.NOT_A_BATCH),
        (b'{"events": 5}', RejectReason.NOT_A_BATCH),
        (b'"x"', RejectReason.NOT_A_BATCH),
        (b"[" + b"1," * 1000 + b"1]", RejectReason.TOO_MANY_EVENTS),
    ],
)
def test_what_is_no_batch_is_refused(body: bytes, reason: RejectReason) -> None:
    """As precisely as can be."""
    with pytest.raises(Rejected) as caught:
        split(body, JSON)

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "body",
    [
        b'[["' + b"\\" * 2_000_000,
        b"[[" + b'\\"' * 1_000_000,
        b'[[,"' + b'",' * 600_000,
        b"[" * 2_000_000,
        b'["\\ud800",[' + b'"a",' * 500_000 + b"]]",
    ],
)
def test_no_body_keeps_the_lenient_way_busy(body: bytes) -> None:
    """Two megabytes of spite cost less CPU than a batch of good events."""
    began = time.process_time()
    split_leniently(body, 1001)

    assert time.process_time() - began < 2


@pytest.mark.timeout(20)
@pytest.mark.parametrize("body", [b" " * 2_000_000, (b"\t " * 1000 + b"\n") * 1000])
def test_lines_of_blanks_are_passed_over_at_once(body: bytes) -> None:
    """However long they are: a blank is looked at once."""
    with pytest.raises(Rejected) as caught:
        split(body, b"application/x-ndjson")

    assert caught.value.reason is RejectReason.EMPTY_BATCH
    assert split(body + b"1" + body, b"application/x-ndjson") == [b"1"]
