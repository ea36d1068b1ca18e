"""A file's format is detected by its name and its first bytes."""

import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.traffic.replay.batches import Batch, read_ahead, read_batches
from headrace.traffic.replay.recorded_event import EventCompleter, RecordedEvent
from headrace.traffic.replay.source import STANDARD_INPUT, open_source, total_bytes
from producer_api.events.lenient_split import split_leniently
from producer_api.http.body import MAX_BATCH_BYTES

_JSON = b'{"type":"a"}\n{"type":"b"}\n'
_CSV = b"type\na\nb\n"
_ARRAY = b'[{"type":"a"},\n{"type":"b"}]'


def _types(path: Path) -> list[str]:
    with open_source(path, {}) as source:
        return [json.loads(event.data)["type"] for event in source.events()]


class _AsItIs(EventCompleter):
    """An event completer that changes nothing."""

    def __init__(self) -> None:
        super().__init__(None)

    def complete(self, event: RecordedEvent) -> RecordedEvent:
        """Return the event."""
        return event


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", _JSON),
        ("x.ndjson", _JSON),
        ("x.json", _JSON),
        ("x.json", _ARRAY),
        ("x.json", b'{"events":' + _ARRAY + b"}"),
        ("x.csv", _CSV),
        ("x.csv", _CSV.decode().encode("utf-16")),
        ("x.tsv", _CSV.replace(b"\n", b"\r")),
        ("x.csv", _CSV.decode().encode("utf-16-be")),
        ("x.txt", ("\ufeff\n" + _CSV.decode()).encode("utf-16-le")),
        ("x.jsonl", _JSON.decode().encode("utf-16")),
        ("x.json", _ARRAY.decode().encode("utf-32")),
        ("x", b"\xfe\xff" + _JSON.decode().encode("utf-16-be")),
        ("X.CSV", b"\xef\xbb\xbf" + _CSV.replace(b"\n", b"\r\n")),
        ("x.jsonl", b"\xef\xbb\xbf" + _JSON),
        ("x.log", _JSON),
        ("x.txt", _CSV),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_read_plain_and_compressed(
    tmp_path: Path, name: str, content: bytes, packed: bool
) -> None:
    """With a byte order mark, too."""
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)

    assert _types(path) == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        _CSV.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + _JSON,
        _JSON,
        _CSV,
        _ARRAY,
        gzip.compress(_JSON, mtime=0),
        gzip.compress(_CSV, mtime=0),
    ],
)
def test_the_format_of_standard_input_is_detected_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """It has no name."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert _types(STANDARD_INPUT) == ["a", "b"]


def test_an_invalid_first_line_of_standard_input_is_not_csv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has none of our fields."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"oops\n" + _JSON)))

    with open_source(STANDARD_INPUT, {}) as source:
        assert [event.data for event in source.events()] == [b"oops", *_JSON.split()]


def test_truncated_gzip_is_an_error_with_its_location(tmp_path: Path) -> None:
    """The events before it are yielded first."""
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(_JSON, mtime=0)[:-8])
    batches = read_batches([path], _AsItIs())

    assert [event.line for event in next(batches).events] == [1, 2]
    with pytest.raises(UserError, match=r"x\.jsonl\.gz cannot be read after line 2"):
        next(batches)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(UserError, match="gone cannot be read: No such file"):
        next(read_batches([tmp_path / "gone"], _AsItIs()))


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    """None if one is a stream."""
    path = tmp_path / "x"
    path.write_bytes(b"1234")

    assert total_bytes([path, path]) == 8
    assert total_bytes([path, STANDARD_INPUT]) is None


def test_batches_have_at_most_the_requested_number_of_events(tmp_path: Path) -> None:
    """Of one file only, in order."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"n":1}\n' * 5)
    batches = list(read_batches([path, path], _AsItIs(), limit=3))

    assert [[event.line for event in batch.events] for batch in batches] == [[1, 2, 3], [4, 5]] * 2
    assert batches[-1].position == 2 * path.stat().st_size
    assert batches[0].location(batches[0].events[2]) == f"{path}, line 3"


def test_batches_stay_under_the_servers_limit_of_bytes(tmp_path: Path) -> None:
    """Including the line breaks between events."""
    path = tmp_path / "x.jsonl"
    line = b'{"a":"' + b"x" * 65_000 + b'"}\n'
    path.write_bytes(line * 100)
    batches = list(read_batches([path], _AsItIs()))

    sizes = [sum(len(event.data) + 1 for event in batch.events) for batch in batches]
    assert sum(sizes) == len(line) * 100
    assert max(sizes) <= MAX_BATCH_BYTES < max(sizes) + len(line)


def test_the_servers_own_splitter_finds_the_same_events(tmp_path: Path) -> None:
    """An array and its elements as lines are the same."""
    path = tmp_path / "x.json"
    path.write_bytes(_ARRAY)
    (batch,) = read_batches([path], _AsItIs())

    assert [event.data for event in batch.events] == split_leniently(_ARRAY, 10)


async def test_read_ahead_keeps_order_and_raises_errors_of_the_reader() -> None:
    """A thread reads the batches."""

    def batches() -> list[Batch]:
        return [Batch("x", "line", [RecordedEvent(line, b"{}")], line) for line in range(10)]

    def failing() -> Iterator[Batch]:
        yield from batches()
        raise UserError("enough")

    ahead = read_ahead(failing())

    assert [await anext(ahead) for _ in range(10)] == batches()
    with pytest.raises(UserError, match="enough"):
        await anext(ahead)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 65_535, 65_536, 65_537, 300_000])
def test_a_large_file_of_another_encoding_is_read_completely(tmp_path: Path, size: int) -> None:
    """Characters cross the boundaries of chunks."""
    title = "ü\U0001f600" * size
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps([{"type": title}], ensure_ascii=False).encode("utf-16"))

    with open_source(path, {}) as source:
        (event,) = source.events()

    # A document's element is cut at what no event may have.
    assert json.dumps({"type": title}, ensure_ascii=False).encode().startswith(event.data)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04xl/workbook", "a ZIP archive or an Excel workbook"),
        (b"PAR1\x15", "a Parquet file"),
        (b"\xff\xfea\x00b", "cannot be read after line 0"),
    ],
)
def test_a_binary_file_is_an_error_with_what_to_do(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    """Whatever its name."""
    path = tmp_path / "x.csv"
    path.write_bytes(content)

    with pytest.raises(UserError, match=sentence):
        _types(path)
