"""CSV becomes events; what is no CSV is left for the server to refuse."""

import io
import json
from typing import Any

import pytest

from infra.errors import UserError
from infra.replay import csv_events
from infra.replay.lines import Lines
from infra.replay.recorded import MAX_LINE_BYTES, Recorded

_HEADER = b"type,site_id,session_id,title\n"


def _rows(data: bytes) -> list[Recorded]:
    return list(csv_events.of_rows("x.csv", Lines(io.BytesIO(data))))


def _events(header: str, *rows: str) -> list[Any]:
    return [json.loads(row.data) for row in _rows("\n".join([header, *rows]).encode())]


def test_columns_with_dots_make_objects_and_empty_cells_are_absent() -> None:
    """Also several levels deep."""
    (event,) = _events(
        "type,screen.width,screen.height,utm.source,properties.a.b,properties.a.c,title",
        "pageview,1920,,news,x,y,",
    )

    assert event == {
        "type": "pageview",
        "screen": {"width": 1920},
        "utm": {"source": "news"},
        "properties": {"a": {"b": "x", "c": "y"}},
    }


def test_cells_of_numeric_fields_become_numbers_when_they_are() -> None:
    """Texts that look like numbers elsewhere stay texts."""
    (event, other) = _events(
        "type,duration,vitals.lcp,vitals.cls,vitals.inp,properties.n,amount",
        "x, 12 ,1e3,.05,+007,5,19.90",
        "x,soon,NaN,1_000,,,",
    )

    assert event == {
        "type": "x",
        "duration": 12,
        "vitals": {"lcp": 1000.0, "cls": 0.05, "inp": 7.0},
        "properties": {"n": "5"},
        "amount": "19.90",
    }
    assert other == {"type": "x", "duration": "soon", "vitals": {"lcp": "NaN", "cls": "1_000"}}


def test_a_number_keeps_all_of_its_digits() -> None:
    """It is not read as a float on the way."""
    (row,) = _rows(b"type,duration\nx,1.10000000000000000001\n")

    assert row.data == b'{"type":"x","duration":1.10000000000000000001}'


def test_columns_of_object_fields_hold_json() -> None:
    """What is no JSON goes out as a text, for the server to refuse."""
    events = _events(
        "type,properties,screen",
        'x,"{""plan"": ""pro"", ""n"": 1.50}",{}',
        "x,{'plan'},7",
    )

    assert events[0] == {"type": "x", "properties": {"plan": "pro", "n": 1.5}, "screen": {}}
    assert events[1] == {"type": "x", "properties": "{'plan'}", "screen": 7}


def test_an_object_and_its_members_can_stand_in_columns_of_their_own() -> None:
    """The members are added to the object."""
    events = _events("type,properties,properties.b", 'x,"{""a"":1}",2', "x,{ },2", "x,,2", "x,3,2")

    assert [event["properties"] for event in events] == [
        {"a": 1, "b": "2"},
        {"b": "2"},
        {"b": "2"},
        3,
    ]


def test_a_cell_may_go_over_several_lines() -> None:
    """The event still is one line, and has the number of its first."""
    rows = _rows(_HEADER + b'a,s,1,"one\ntwo ""three"""\nb,s,2,\xc3\xbc\n')

    assert [row.line for row in rows] == [2, 4]
    assert all(b"\n" not in row.data for row in rows)
    assert json.loads(rows[0].data)["title"] == 'one\ntwo "three"'
    assert json.loads(rows[1].data)["title"] == "ü"


@pytest.mark.parametrize(
    "broken",
    [
        b'b,s,2,"no end',
        b'b,s,2,"no end,\xff',
        b'b,s,2,"end" too early',
        b"b,s,2,title,too,many",
        b"b,s,2," + b"x" * (MAX_LINE_BYTES + 1),
        b'b,s,2,"' + b"x" * (MAX_LINE_BYTES + 1),
    ],
)
def test_a_broken_row_is_sent_as_it_is_and_harms_no_other(broken: bytes) -> None:
    """Not even when its quote never ends, or only in a later row."""
    rows = _rows(_HEADER + b"a,s,1,x\n" + broken + b'\nc,s,3,"y"\nd,s,4,z\n')

    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert rows[1].data == broken[:MAX_LINE_BYTES]
    assert [json.loads(rows[index].data)["type"] for index in (0, 2, 3)] == ["a", "c", "d"]


def test_bytes_that_are_no_utf8_go_through_as_they_are() -> None:
    """The server refuses that event alone."""
    (row,) = _rows(_HEADER + b"a,s,1,\xff\n")

    assert b'"title":"\xff"' in row.data


def test_a_row_without_its_last_cells_has_them_empty() -> None:
    """Programs leave them out; blank lines are no rows."""
    assert _events("type,site_id,title", "a,s", "", "b,s,,") == [
        {"type": "a", "site_id": "s"},
        {"type": "b", "site_id": "s"},
    ]


def test_a_row_of_empty_cells_is_an_empty_event() -> None:
    """It is refused, and counted."""
    assert _events("type,site_id", ",") == [{}]


def test_a_header_of_other_names_is_an_error() -> None:
    """Rather than a refusal for every row."""
    with pytest.raises(UserError, match=r"first line of x\.csv must name the fields"):
        _rows(b"pageview,my-site,s1\n")


def test_an_empty_file_has_no_events() -> None:
    """And is no error."""
    assert _rows(b"") == []


def test_a_header_is_known_by_a_field_that_every_event_has() -> None:
    """In any place, quoted or not."""
    assert csv_events.is_header(b'path,"type"\r\n')
    assert not csv_events.is_header(b"path,kind")
    assert not csv_events.is_header(b'{"type":"pageview"}')
