import time

import pytest

from producer_api.events.batch import split
from producer_api.events.lenient_split import split_leniently
from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

JSON = b"application/json"


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a": 1}, 2]',
        b' \n{"x": [{"events": [5]}], "y": "events", "events" : [ {"a": 1} ,2 ], "z": {}} ',
        # Invalid JSON, split by `lenient.py`.
        b'[{"a": 1}, 2, "\\ud800"]',
        b'{"x": [{"events": [5]}], "y": "events", "events" : [ {"a": 1} ,2 , NaN], "z": {}}',
    ],
)
def test_events_are_found_in_arrays_and_envelopes(body: bytes) -> None:
    """The bytes of each event are unchanged."""
    assert split(body, JSON)[:2] == [b'{"a": 1}', b"2"]


@pytest.mark.parametrize("event", [b'{"a":1}', b'"\\ud800"', b"NaN"])
@pytest.mark.parametrize(
    "batch",
    [
        b"[E] garbage",
        b"garbage [E]",
        b"[E]]",
        b"[E][E]",
        b"[E]{}",
        b"[E}",
        b"[E",
        b"[E,",
        b"[E,]",
        b"[E,,E]",
        b'{"events":[E]',
        b'{"events":[E}',
        b'{"events":[E}}',
        b'{"events":[E]]',
        b'{"events":[E]} garbage',
        b'{"events":[E]}{"events":[E]}',
        b'{"events":[E] garbage, "a":}',
        b'{"events":[E], "a":}',
        b'{"events":[E],}',
        b'{"events" garbage:[E]}',
        b'{"events": garbage [E]}',
        b'{"events":[E] [E]}',
        b'{"events":[E], "events":[E}',
        b'{"events":[E], "a":[}]}',
        b'{garbage "events":[E]}',
        b'{"a":NaN, "events":[E]}',
    ],
)
def test_a_batch_with_an_invalid_envelope_is_rejected(batch: bytes, event: bytes) -> None:
    """It may have been truncated, so none of its events is accepted."""
    with pytest.raises(Rejected) as caught:
        split(batch.replace(b"E", event), JSON)

    assert caught.value.reason in (RejectReason.INVALID_JSON, RejectReason.LONE_SURROGATE)


@pytest.mark.parametrize("last", [b"2", b"NaN"])
@pytest.mark.parametrize("first", [b"[1]", b"[1,NaN]", b"[" + b"1," * 2000 + b"1]"])
@pytest.mark.parametrize("name", [b"events", b"\\u0065vents"])
def test_the_last_duplicate_list_of_events_counts(first: bytes, last: bytes, name: bytes) -> None:
    """As with all duplicate keys."""
    batch = b'{"a": [], "events": %b, "x": {"events": [3]}, "%b": [%b], "b": 1}'

    assert split(batch % (first, name, last), JSON) == [last]


def test_a_first_value_of_events_does_not_count_whatever_it_is() -> None:
    """As with all duplicate keys."""
    assert split(b'{"events": 5, "events": [2]}', JSON) == [b"2"]


def test_lines_are_events_but_for_blank_ones() -> None:
    """Whatever they hold."""
    assert split(b'\r\n{"a":1}\r\n\n  \nbroken', b"Application/X-NDJSON; q=1") == [
        b'{"a":1}',
        b"broken",
    ]


@pytest.mark.parametrize("body", [b'{"a":1}\n{"a":2}', b' {"a":1}\r\n\n {"a":\n'])
def test_lines_with_another_content_type_are_recognized(body: bytes) -> None:
    """The error says which one is right."""
    with pytest.raises(Rejected) as caught:
        split(body, JSON)

    assert caught.value.reason is RejectReason.INVALID_JSON
    assert "Content-Type: application/x-ndjson" in caught.value.sentence()


@pytest.mark.parametrize(
    "body", [b'{\n"events": [\n{"a":1},\n{"a":2}', b'{"a":1}\n', b'{"a":1}\n5']
)
def test_other_invalid_bodies_are_not_mistaken_for_lines(body: bytes) -> None:
    """Such as a truncated batch, and one event."""
    with pytest.raises(Rejected) as caught:
        split(body, JSON)

    assert "ndjson" not in caught.value.sentence()


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
def test_a_body_that_is_no_batch_is_rejected(body: bytes, reason: RejectReason) -> None:
    """Each with its own reason."""
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
def test_lenient_splitting_takes_bounded_time(body: bytes) -> None:
    """Malicious bodies of 2 MB take less than 2 s of CPU time."""
    started_at = time.process_time()
    split_leniently(body, 1001)

    assert time.process_time() - started_at < 2


@pytest.mark.timeout(20)
@pytest.mark.parametrize("body", [b" " * 2_000_000, (b"\t " * 1000 + b"\n") * 1000])
def test_blank_lines_are_skipped_in_linear_time(body: bytes) -> None:
    """Long runs of blanks do not make matching quadratic."""
    with pytest.raises(Rejected) as caught:
        split(body, b"application/x-ndjson")

    assert caught.value.reason is RejectReason.EMPTY_BATCH
    assert split(body + b"1" + body, b"application/x-ndjson") == [b"1"]
