"""Events in JSON leave as they were recorded."""

import io
import json
from decimal import Decimal
from typing import TextIO
from uuid import UUID

import pytest

from infra.errors import UserError
from infra.replay import json_events
from infra.replay.recorded import EventCompleter, RecordedEvent
from infra.replay.texts import MAX_LINE, open_text, read_lines


def _text(data: bytes) -> TextIO:
    return open_text("x", io.BufferedReader(io.BytesIO(data)))[0]


def _lines(data: bytes) -> list[RecordedEvent]:
    return list(json_events.read_json_lines(read_lines(_text(data))))


def _document(data: bytes) -> list[RecordedEvent]:
    return list(json_events.read_document("x.json", _text(data)))


def _complete(data: bytes, site_id: str | None = None) -> bytes:
    return EventCompleter(site_id).complete(RecordedEvent(1, data)).data


def test_lines_are_counted_with_the_blank_ones_that_are_left_out() -> None:
    """And lose the end that another system gave them."""
    assert _lines(b'{"a":1}\r\n\n  \n {"b":2}') == [
        RecordedEvent(1, b'{"a":1}'),
        RecordedEvent(4, b'{"b":2}'),
    ]


def test_a_line_that_is_no_json_is_yielded_as_it_is() -> None:
    """The server is the only judge."""
    assert _lines(b"{oops\n\xff\n") == [RecordedEvent(1, b"{oops"), RecordedEvent(2, b"\xff")]


def test_a_line_without_end_is_cut_and_the_next_one_is_whole() -> None:
    """Memory stays flat, and the server refuses what is cut, for it is over 64 KiB."""
    lines = _lines(b"x" * (3 * MAX_LINE) + b'\n{"a":1}\n')

    assert [(event.line, len(event.data)) for event in lines] == [(1, MAX_LINE), (2, 7)]


def test_a_line_of_exactly_the_limit_does_not_swallow_the_next() -> None:
    """Its end is the last byte that was read."""
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
    """Numbers are not read as floats on the way."""
    exact = json.JSONDecoder(parse_float=Decimal)
    completed = exact.decode(_complete(data).decode())

    assert UUID(completed["event_id"]).version == 5
    assert str(completed) == str(exact.decode(data.decode()) | {"event_id": completed["event_id"]})


@pytest.mark.parametrize(
    "data",
    [b'{"event_id":"mine"}', b'{"event_id":7}', b"{", b"[1]", b"7", b"\xff", b'{"a":"\xff"}}'],
)
def test_an_event_with_an_id_and_what_is_no_event_stay_as_they_are(data: bytes) -> None:
    """A wrong id is for the server to refuse."""
    assert _complete(data) == data


def test_a_site_that_is_asked_for_wins_over_the_recorded_one() -> None:
    """It stands last."""
    completed = _complete(b'{"site_id":"old","event_id":"mine"}', "new")

    assert json.loads(completed) == {"site_id": "new", "event_id": "mine"}


@pytest.mark.parametrize("beginning", ["[", '\n [{"type"', '{ "events" : [', '{"events":[]}'])
def test_an_array_and_an_object_of_events_are_documents(beginning: str) -> None:
    """Told by how they begin."""
    assert json_events.is_document(beginning)


@pytest.mark.parametrize("beginning", ["", '{"type":', '{"events":3}', "x["])
def test_anything_else_is_no_document(beginning: str) -> None:
    """It is read by lines."""
    assert not json_events.is_document(beginning)


@pytest.mark.parametrize("form", [b"%b", b'{"events":%b}'])
def test_a_documents_elements_are_counted_and_each_is_one_line(form: bytes) -> None:
    """However it was indented."""
    events = _document(form % b'[{"a":\n  1.10},\r\n 7]')

    assert events == [RecordedEvent(1, b'{"a":   1.10}'), RecordedEvent(2, b"7")]


def test_one_bad_element_of_a_document_harms_no_other() -> None:
    """Half a surrogate pair is no JSON for most readers."""
    assert [event.data for event in _document(b'[{"a":"\\ud800"},{"b":2}]')] == [
        b'{"a":"\\ud800"}',
        b'{"b":2}',
    ]


def test_a_document_that_is_none_is_an_error_with_its_name() -> None:
    """There is no line to send."""
    with pytest.raises(UserError, match=r"x\.json begins as a JSON document"):
        _document(b'[{"a":1},')


def test_a_document_that_is_too_large_is_told_how_to_be_made_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory stays flat."""
    monkeypatch.setattr(json_events, "MAX_DOCUMENT", 10)

    with pytest.raises(UserError, match="jq"):
        _document(b"[1,2,3,4,5,6,7]")
