"""Event ids derived from content."""

import json
from pathlib import Path

import pytest

from headrace.traffic.replay.batches import read_batches
from headrace.traffic.replay.recorded_event import EventCompleter, RecordedEvent

_EVENT = {"type": "payment", "site_id": "s", "session_id": "1", "timestamp": "2024-03-01T10:00:00Z"}


def _ids(path: Path, site_id: str | None = None, most: int = 1_000) -> list[str]:
    batches = read_batches([path], EventCompleter(site_id), most)
    return [json.loads(event.data)["event_id"] for batch in batches for event in batch.events]


def _id(text: str) -> str:
    found: str = json.loads(EventCompleter(None).complete(RecordedEvent(1, text.encode())).data)[
        "event_id"
    ]
    return found


def _with(**fields: object) -> str:
    return json.dumps(_EVENT | fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_with(), json.dumps(dict(reversed(_EVENT.items())), indent=1).replace("\n", " ")),
        (_with(amount=1), _with(amount="1.00")),
        (_with(duration=1000), _with(duration=1.0e3)),
        (_with(title="\u00fc"), json.dumps(_EVENT | {"title": "\u00fc"}, ensure_ascii=False)),
        (_with(), _with(title=None, utm=None)),
        (_with(utm={"source": "x", "term": None}), _with(utm={"source": "x"})),
        (_with(), _with(timestamp="2024-03-01 11:00:00 +0100")),
        (_with(), _with(timestamp=1709287200000)),
        (_with(), _with(sent_at="2024-03-01T10:00:05Z")),
    ],
)
def test_an_id_does_not_depend_on_the_format(one: str, other: str) -> None:
    """An import from another export counts once."""
    assert _id(one) == _id(other)


@pytest.mark.parametrize(
    "other",
    [
        _with(timestamp="2024-03-01T10:00:00.000001Z"),
        _with(title="1"),
        _with(title=1),
        _with(amount="1.10000000000000000000000000000000001"),
        _with(amount="1.10000000000000000000000000000000002"),
        _with(properties={"a": 1}),
        _with(properties={"a": "1"}),
    ],
)
def test_another_event_has_another_id(other: str) -> None:
    """For any different value."""
    others = [_with(), _with(title="2"), _with(amount="1.1"), _with(properties={"a": "\0"})]

    assert _id(other) not in [_id(one) for one in others]


def test_an_id_never_changes() -> None:
    """Imports of an earlier version must be recognised."""
    assert _id(_with()) == "1a8c424c-63f4-5da5-b734-e00f3be12d1d"


def test_equal_events_of_a_file_have_different_ids(tmp_path: Path) -> None:
    """The same ones each time, for any batch size; others for another site."""
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([_with(), _with(title="x"), _with(), _with()]))

    ids = _ids(path)

    assert len(set(ids)) == 4
    assert _ids(path, most=2) == ids
    assert not set(_ids(path, "other")) & set(ids)


def test_a_file_given_twice_has_the_same_ids(tmp_path: Path) -> None:
    """Occurrences are counted per file: exports may overlap."""
    path = tmp_path / "x.jsonl"
    path.write_text(_with())
    batches = read_batches([path, path], EventCompleter(None))

    assert len({event.data for batch in batches for event in batch.events}) == 1


def test_csv_and_json_lines_give_the_same_ids(tmp_path: Path) -> None:
    """Also in UTF-16, and with additional empty columns."""
    table, lines = tmp_path / "x.csv", tmp_path / "x.jsonl"
    header = "site_id;type;session_id;timestamp;amount;screen.width;title;utm.source\n"
    row = "s;payment;1;2024-03-01 10:00:00 UTC;1,50;1920;\u00fc;\n"
    table.write_text(header + row, "utf-16")
    lines.write_text(_with(amount=1.5, screen={"width": 1920}, title="\u00fc"))

    assert _ids(table) == _ids(lines)


def test_a_recorded_sent_at_is_removed() -> None:
    """Not even an invalid one rejects the event; other fields do not change."""
    event = _with(sent_at="nonsense", received_at="2024-03-01T10:00:09Z")

    sent = json.loads(EventCompleter(None).complete(RecordedEvent(1, event.encode())).data)

    assert sent["sent_at"] is None
    assert sent["timestamp"] == _EVENT["timestamp"]
    assert sent["received_at"] == "2024-03-01T10:00:09Z"


def test_invalid_utf8_is_rejected_with_the_command_that_converts_it() -> None:
    """Before it is sent."""
    found = EventCompleter(None).complete(RecordedEvent(1, b'{"title":"\xe9t\xe9"}'))

    assert found.problem is not None
    assert "0xE9" in found.problem.error
    assert "iconv -f WINDOWS-1252 -t UTF-8" in found.problem.error


@pytest.mark.parametrize("text", ["{", "7", "[]", '{"a":' * 2_000])
def test_invalid_json_gets_no_id(text: str) -> None:
    """The server rejects it."""
    event = RecordedEvent(1, text.encode())

    assert EventCompleter(None).complete(event) == event
