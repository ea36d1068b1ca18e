"""JSON events are sent as they were recorded."""

import io
import json
from decimal import Decimal
from typing import TextIO
from uuid import UUID

import pytest

from headrace.errors import UserError
from headrace.traffic.replay import json_events
from headrace.traffic.replay.recorded_event import EventCompleter, RecordedEvent
from headrace.traffic.replay.text_files import MAX_LINE, open_text, read_lines


def _text(data: bytes) -> TextIO:
    return open_text("x", io.BufferedReader(io.BytesIO(data)))[0]


def _lines(data: bytes) -> list[RecordedEvent]:
    return list(json_events.read_json_lines(read_lines(_text(data))))


def _document(data: bytes) -> list[RecordedEvent]:
    return list(json_events.read_document("x.json", _text(data)))


def _complete(data: bytes, site_id: str | None = None) -> bytes:
    return EventCompleter(site_id).complete(RecordedEvent(1, data)).data


def test_blank_lines_are_skipped_but_counted() -> None:
    """Line ends of other systems are removed."""
    assert _lines(b'{"a":1}\r\n\n  \n {"b":2}') == [
        RecordedEvent(1, b'{"a":1}'),
        RecordedEvent(4, b'{"b":2}'),
    ]


def test_invalid_json_is_sent_unchanged() -> None:
    """The server rejects it."""
    assert _lines(b"{oops\n\xff\n") == [RecordedEvent(1, b"{oops"), RecordedEvent(2, b"\xff")]


def test_a_long_line_is_cut_and_the_next_one_is_complete() -> None:
    """Memory is bounded, and the server rejects events over 64 KiB."""
    lines = _lines(b"x" * (3 * MAX_LINE) + b'\n{"a":1}\n')

    assert [(event.line, len(event.data)) for event in lines] == [(1, MAX_LINE), (2, 7)]


def test_a_line_of_exactly_the_limit_is_not_joined_with_the_next() -> None:
    """Its line end is the last character that is read."""
    lines = _lines(b"x" * (MAX_LINE - 1) + b"\nnext\n")

    assert [event.line for event in lines] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b'{"amount":1.10000000000000000001}',
        b'{"amount":99999999999999999999.90,"n":123456789012345678901234567890}',
        b'{"amount":1E+400,"n":-0.0,"a":[1.50,null,true,"\xc3\xbc"]}',
        b'{ "event_id" : null }',
        b"{ }",
    ],
)
def test_an_event_without_an_id_gets_one_and_keeps_every_digit(data: bytes) -> None:
    """Numbers are not converted to floats."""
    exact = json.JSONDecoder(parse_float=Decimal)
    completed = exact.decode(_complete(data).decode())

    assert UUID(completed["event_id"]).version == 5
    assert str(completed) == str(exact.decode(data.decode()) | {"event_id": completed["event_id"]})


@pytest.mark.parametrize(
    "data",
    [b'{"event_id":"mine"}', b'{"event_id":7}', b"{", b"[1]", b"7", b"\xff", b'{"a":"\xff"}}'],
)
def test_existing_ids_and_invalid_events_do_not_change(data: bytes) -> None:
    """The server rejects invalid ids."""
    assert _complete(data) == data


def test_the_requested_site_replaces_the_recorded_one() -> None:
    """For every event."""
    completed = _complete(b'{"site_id":"old","event_id":"mine"}', "new")

    assert json.loads(completed) == {"site_id": "new", "event_id": "mine"}


@pytest.mark.parametrize("beginning", ["[", '\n [{"type"', '{ "events" : [', '{"events":[]}'])
def test_an_array_and_an_object_of_events_are_documents(beginning: str) -> None:
    """Detected by their first characters."""
    assert json_events.is_document(beginning)


@pytest.mark.parametrize("beginning", ["", '{"type":', '{"events":3}', "x["])
def test_anything_else_is_json_lines(beginning: str) -> None:
    """It is read by lines."""
    assert not json_events.is_document(beginning)


@pytest.mark.parametrize("form", [b"%b", b'{"events":%b}'])
def test_elements_of_a_document_are_numbered_and_become_lines(form: bytes) -> None:
    """However it is indented."""
    events = _document(form % b'[{"a":\n  1.10},\r\n 7]')

    assert events == [RecordedEvent(1, b'{"a":   1.10}'), RecordedEvent(2, b"7")]


def test_an_invalid_element_of_a_document_affects_no_other() -> None:
    """Most parsers reject half a surrogate pair."""
    assert [event.data for event in _document(b'[{"a":"\\ud800"},{"b":2}]')] == [
        b'{"a":"\\ud800"}',
        b'{"b":2}',
    ]


def test_an_invalid_document_is_an_error_with_its_name() -> None:
    """Nothing is sent."""
    with pytest.raises(UserError, match=r"x\.json looks like a JSON document"):
        _document(b'[{"a":1},')


def test_a_document_that_is_too_large_is_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says how to convert it to JSON lines."""
    monkeypatch.setattr(json_events, "MAX_DOCUMENT", 10)

    with pytest.raises(UserError, match="jq"):
        _document(b"[1,2,3,4,5,6,7]")
