"""CSV rows become events; invalid rows are rejected with their line."""

import io
import json
from typing import Any

import pytest

from headrace.errors import UserError
from headrace.traffic.replay import csv_events
from headrace.traffic.replay.csv_header import FieldMap, starts_with_header
from headrace.traffic.replay.recorded_event import RecordedEvent
from headrace.traffic.replay.text_files import MAX_LINE, open_text, read_lines

_HEADER = b"type,site_id,session_id,title\n"


def _rows(data: bytes, mapped: FieldMap | None = None) -> list[RecordedEvent]:
    (text, _) = open_text("x.csv", io.BufferedReader(io.BytesIO(data)))
    return list(csv_events.read_rows("x.csv", read_lines(text), mapped or {}))


def _events(header: str, *rows: str) -> list[Any]:
    return [json.loads(row.data) for row in _rows("\n".join([header, *rows]).encode())]


def test_columns_with_dots_become_objects_and_empty_cells_are_absent() -> None:
    """At any depth."""
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


def test_cells_of_numeric_fields_become_numbers() -> None:
    """In other fields they stay strings."""
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
    """It is not converted to a float."""
    (row,) = _rows(b"type,duration\nx,1.10000000000000000001\n")

    assert row.data == b'{"type":"x","duration":1.10000000000000000001}'


def test_columns_of_object_fields_are_json() -> None:
    """Invalid JSON is sent as a string, which the server rejects."""
    events = _events(
        "type,properties,screen",
        'x,"{""plan"": ""pro"", ""n"": 1.50}",{}',
        "x,{'plan'},7",
    )

    assert events[0] == {"type": "x", "properties": {"plan": "pro", "n": 1.5}, "screen": {}}
    assert events[1] == {"type": "x", "properties": "{'plan'}", "screen": 7}


def test_an_object_and_its_members_can_have_separate_columns() -> None:
    """The members are added to the object."""
    events = _events("type,properties,properties.b", 'x,"{""a"":1}",2', "x,{ },2", "x,,2", "x,3,2")

    assert [event["properties"] for event in events] == [
        {"a": 1, "b": "2"},
        {"b": "2"},
        {"b": "2"},
        3,
    ]


def test_a_cell_can_have_several_lines() -> None:
    """The event is one line, and has the number of its first line."""
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
        b"b,s,2",
        b"b,s,2," + b"x" * (MAX_LINE + 1),
        b'b,s,2,"' + b"x" * (MAX_LINE + 1),
        b"b,s,2," + b"x" * 140_000,
    ],
)
def test_an_invalid_row_is_rejected_alone(broken: bytes) -> None:
    """Even if its quote never ends, or ends in a later row."""
    rows = _rows(_HEADER + b"a,s,1,x\n" + broken + b'\nc,s,3,"y"\nd,s,4,z\n')

    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert rows[1].data == broken[:MAX_LINE]
    assert [row.problem is None for row in rows] == [True, False, True, True]
    assert [json.loads(rows[index].data)["type"] for index in (0, 2, 3)] == ["a", "c", "d"]


def test_invalid_utf8_rejects_one_event() -> None:
    """Its bytes are kept."""
    (row, other) = _rows(_HEADER + b"a,s,1,\xff\nb,s,2,x\n")

    assert row.data == b"a,s,1,\xff"
    assert row.problem is not None
    assert "0xFF is not UTF-8" in row.problem.error
    assert other.problem is None


def test_invalid_utf8_in_the_header_rejects_rows() -> None:
    """With the command that converts the file."""
    (row, other) = _rows(b"type,gr\xf6\xdfe\na,1\nb,\n")

    assert row.problem is not None
    assert "0xF6 is not UTF-8" in row.problem.error
    assert other.problem is None


def test_trailing_empty_cells_are_ignored() -> None:
    """Spreadsheets write them, even in the header; blank lines are no rows."""
    assert _events("type,site_id,,", "a,s", "", "  ", "b,s,,,") == [
        {"type": "a", "site_id": "s"},
        {"type": "b", "site_id": "s"},
    ]


def test_a_wrong_number_of_cells_is_rejected() -> None:
    """With the physical line and the usual cause."""
    rows = _rows(_HEADER + b'a,s,1,"two\nlines"\nb,s,2,KHTML, like Gecko\nc,s,3\n')

    problems = [(row.line, row.problem) for row in rows if row.problem]
    assert [line for line, _ in problems] == [4, 5]
    assert {problem.code for _, problem in problems} == {"wrong_number_of_cells"}
    assert problems[0][1].error.startswith("the row has 5 cells, but the header has 4 columns;")
    assert "comma" in problems[0][1].error
    assert problems[1][1].error == "the row has 3 cells, but the header has 4 columns"


def test_a_row_of_empty_cells_is_an_empty_event() -> None:
    """It is rejected and counted."""
    assert _events("type,site_id", ",") == [{}]


def test_a_header_without_our_fields_is_an_error() -> None:
    """Rather than rejecting every row."""
    with pytest.raises(UserError, match=r"Line 1 of x\.csv must be a header such as"):
        _rows(b"pageview,my-site,s1\n")


def test_an_empty_file_has_no_events() -> None:
    """It is not an error."""
    assert _rows(b"") == []


def test_a_header_is_detected_by_a_required_field() -> None:
    """At any position, quoted or not."""
    assert starts_with_header('\n\npath,"type"\r\n', {})
    assert not starts_with_header("path,kind", {})
    assert not starts_with_header('{"type":"pageview"}', {})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\n", "\r\n \n;;;\n", "sep={}\n", '"sep={}"\r\n\n'])
def test_the_delimiter_is_that_of_the_header(delimiter: str, before: str) -> None:
    """After blank lines, and after the `sep=` line of Excel."""
    lines = ["type,site_id,session_id,title", 'a,s,1,"x,y"', "b,s,2,it's"]
    text = before.format(delimiter) + "\r\n".join(line.replace(",", delimiter) for line in lines)

    events = [json.loads(row.data) for row in _rows(text.encode())]

    assert [event["title"] for event in events] == [f"x{delimiter}y", "it's"]
    assert [row.line for row in _rows(text.encode())] == [
        before.count("\n") + number for number in (2, 3)
    ]


def test_our_names_match_in_any_case_and_with_spaces() -> None:
    """Other names, and those of properties, do not change."""
    (event,) = _events(
        '"Type", SITE_ID ,Session Id,Screen.Width,properties.Plan,Shop', "pageview,s,1,5,pro,x"
    )

    assert event == {
        "type": "pageview",
        "site_id": "s",
        "session_id": "1",
        "screen": {"width": 5},
        "properties": {"Plan": "pro"},
        "Shop": "x",
    }


@pytest.mark.parametrize("null", ["", " ", "\\N", "NULL", "null", "None", '"NULL"', " \\N "])
def test_null_markers_are_absent(null: str) -> None:
    """In columns of strings, numbers and JSON; within a string they are text."""
    (event,) = _events("type,visitor_id,duration,utm,title", f"a,{null},{null},{null},x NULL")

    assert event == {"type": "a", "title": "x NULL"}


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("type,site_id,Type", r"Line 1 of x\.csv has type twice"),
        ("typ,site,session", "--map theirs=ours"),
    ],
)
def test_an_invalid_header_is_an_error(header: str, sentence: str) -> None:
    """Whatever the rows are."""
    with pytest.raises(UserError, match=sentence):
        _events(header, "a,b,c")


def test_columns_are_renamed() -> None:
    """Before the header is validated."""
    mapped = {"Event Kind": "type", "site": "site_id", "sess": "session_id", "w": "screen.width"}

    (row,) = _rows(b"Event Kind,site,sess,w\na,s,1,5\n", mapped)

    assert json.loads(row.data) == {
        "type": "a",
        "site_id": "s",
        "session_id": "1",
        "screen": {"width": 5},
    }


def test_a_column_to_rename_must_exist() -> None:
    """A misspelt name would be missing in every event."""
    with pytest.raises(UserError, match=r"--map has kind, which is not a column of x\.csv"):
        _rows(b"type,w\na,5\n", {"kind": "type"})


def test_an_ambiguous_number_is_rejected() -> None:
    """With semicolons as delimiters, a comma is a decimal separator."""
    (row,) = _rows(b'type,amount\nx,"1,234"\n')
    (event,) = _events("type;amount;vitals.lcp", "x;12,50;1,234")

    assert row.problem is not None
    assert row.problem.error == "amount 1,234 could mean 1234 or 1.234; write it without the comma"
    assert event == {"type": "x", "amount": "12.50", "vitals": {"lcp": 1.234}}
