"""Rejected events are written to a file that can be replayed."""

import json
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.traffic.replay.recorded_event import Problem, RecordedEvent
from headrace.traffic.replay.rejects import rejects_file
from headrace.traffic.replay.source import open_source


def _written(path: Path, *events: RecordedEvent) -> list[dict[str, object]]:
    with rejects_file(path) as reject:
        for event in events:
            reject(event, "code", "Why.", f"x, line {event.line}")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _read(path: Path) -> list[RecordedEvent]:
    with open_source(path, {}) as source:
        return list(source.events())


def test_a_rejected_event_is_read_again_unchanged(tmp_path: Path) -> None:
    """To the last digit; only the owner can read the file."""
    path = tmp_path / "rejects.jsonl"
    data = b'{"type":"nope","amount":1.10000000000000000001,"title":"\xc3\xbc"}'

    (written,) = _written(path, RecordedEvent(7, data))

    assert written["rejected"] == {"code": "code", "error": "Why.", "at": "x, line 7"}
    assert _read(path) == [RecordedEvent(1, data)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_invalid_row_can_be_corrected(tmp_path: Path) -> None:
    """It is written with its header, and is parsed as a row again."""
    path = tmp_path / "rejects.jsonl"
    row = RecordedEvent(2, b"pageview;s;a;b", Problem("x", "Why.", "type;site_id;title"))

    (written,) = _written(path, row)
    (again,) = _read(path)
    path.write_text(json.dumps(written | {"line": 'pageview;s;"a;b"'}, separators=(",", ":")))
    (corrected,) = _read(path)

    assert again.problem is not None
    assert again.problem.code == "wrong_number_of_cells"
    assert json.loads(corrected.data) == {"type": "pageview", "site_id": "s", "title": "a;b"}


@pytest.mark.parametrize("data", [b"{oops", b"7", b"[]", b'{"a":', b"\x00", b"\x81\xff"])
def test_anything_but_an_object_is_written_as_text(tmp_path: Path, data: bytes) -> None:
    """Whatever it is."""
    path = tmp_path / "rejects.jsonl"

    (written,) = _written(path, RecordedEvent(1, data))

    assert isinstance(written["line"], str)
    assert len(_read(path)) == 1


def test_invalid_utf8_is_read_as_windows_1252(tmp_path: Path) -> None:
    """As the reason says."""
    path = tmp_path / "rejects.jsonl"

    (written,) = _written(path, RecordedEvent(1, b'{"title":"\x80 \xe9"}'))

    assert written["event"] == {"title": "\u20ac \u00e9"}


@pytest.mark.parametrize("line", ['{"rejected":7}', '{"rejected":{}}', '{"rejected":'])
def test_a_line_that_looks_like_a_reject_stays_an_event(tmp_path: Path, line: str) -> None:
    """The server validates it."""
    path = tmp_path / "x.jsonl"
    path.write_text(line)

    assert _read(path) == [RecordedEvent(1, line.encode())]


def test_an_unwritable_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(UserError, match="gone/x cannot be written: No such file"):
        rejects_file(tmp_path / "gone" / "x").__enter__()
