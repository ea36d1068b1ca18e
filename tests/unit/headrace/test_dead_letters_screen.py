"""Dead letters are shown in full, and untrusted text cannot control the terminal."""

import io
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from headrace.errors import UserError
from headrace.ops.dead_letters.dead_letter import DeadLetter, RecordId, replay_headers, to_letter
from headrace.ops.dead_letters.listing import render_overview
from headrace.ops.dead_letters.reader import Counts, Overview, Resolutions
from headrace.ops.dead_letters.record_view import NEXT_STEPS, render_record
from headrace.ops.record_text import readable
from schemas import codec
from schemas.headers import Source
from schemas.records import RawEvent, Replay
from schemas.reject_reasons import DeadLetterReason

_EVENT = RawEvent(
    event_id="0190a0b0-0000-7000-8000-000000000001",
    type="pageview",
    site_id="my-site",
    session_id="s1",
    received_at=1,
    event_ts=2,
    time_source="client",
    title="Grüße \x1b[31m [bold]",
)
_HEADERS = (
    ("id", bytes(15) + b"\x07"),
    *Source(3, 7, 0).headers(),
    ("dlq-reason", b"rule_failed"),
    ("dlq-detail", b"ValueError('\x1b[2J [red]')"),
    ("dlq-stage", b"sessionize"),
    ("dlq-topic", b"events-session"),
    ("dlq-partition", b"3"),
    ("dlq-offset", b"12"),
    ("dlq-at", b"1700000000000"),
)


def _record(value: bytes | None, headers: Any = _HEADERS) -> Any:
    return SimpleNamespace(
        topic="events-session-dlq",
        partition=3,
        offset=0,
        timestamp=5,
        key=b"my-site:s1",
        value=value,
        headers=headers,
    )


def _resolution(**fields: Any) -> Replay:
    return Replay(stage="sessionize", origin="events-raw/3/7", src_offset=9, log_ms=0, **fields)


_NOTHING_DONE = Resolutions({}, {})


def _overview(counted: Counter[str], replayed: int = 1, discarded: int = 0) -> Overview:
    letter = to_letter(_record(b""))
    counts = Counts(
        counted, Counter({"rule_failed": replayed}), Counter({"rule_failed": discarded})
    )
    return Overview([letter], Resolutions({letter.key: _resolution()}, {}), counts)


def _shown(parts: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    for part in parts:
        console.print(part, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_dead_letter_is_read_from_its_headers() -> None:
    """Its id, source, origin and reason."""
    assert to_letter(_record(b"")) == DeadLetter(
        id=RecordId("events-session-dlq", 3, 0),
        reason="rule_failed",
        stage="sessionize",
        detail="ValueError('\x1b[2J [red]')",
        source=RecordId("events-session", 3, 12),
        origin=RecordId("events-raw", 3, 7),
        at_ms=1_700_000_000_000,
    )


def test_a_record_of_another_writer_is_shown() -> None:
    """Its time is the record's timestamp."""
    letter = to_letter(_record(b"", headers=(("dlq-offset", b"x"),)))

    assert (letter.reason, letter.source, letter.at_ms) == ("", None, 5)
    assert "Another program" in _shown(render_record(_record(b"", headers=()), _NOTHING_DONE))


def test_a_record_is_decoded_and_its_headers_are_readable() -> None:
    """It ends with what to do next."""
    shown = _shown(render_record(_record(codec.encode(_EVENT)), _NOTHING_DONE))

    for part in (
        "events-session-dlq/3/0",
        "2023-11-14 22:13:20",
        "00000000-0000-0000-0000-000000000007",
        "events-raw/3/7, at 1970-01-01 00:00:00",
        "1700000000000 (2023-11-14 22:13:20)",
        "my-site:s1",
        "a RawEvent",
        '"session_id": "s1"',
        NEXT_STEPS[DeadLetterReason.RULE_FAILED],
    ):
        assert part in shown


def test_untrusted_text_is_escaped() -> None:
    """Escape sequences and markup are shown as text."""
    shown = _shown(render_record(_record(codec.encode(_EVENT)), _NOTHING_DONE))

    assert "\x1b" not in shown
    assert "\\x1b[2J [red]" in shown
    assert "Grüße \\u001b[31m [bold]" in shown


def test_an_undecodable_value_is_shown_as_a_hex_dump() -> None:
    """With the first bytes and the error."""
    shown = _shown(render_record(_record(b"\x01hello" + bytes(300)), _NOTHING_DONE))

    assert "not a RawEvent (306 bytes): not the Confluent wire format" in shown
    assert "0000  01 68 65 6c 6c 6f 00" in shown
    assert ".hello.........." in shown
    assert "00f0  " in shown
    assert "0100  " not in shown


def test_a_tombstone_is_shown() -> None:
    """It has no value."""
    assert "none: a tombstone" in _shown(render_record(_record(None), _NOTHING_DONE))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("id", b"short", "73 68 6f 72 74"),
        ("src", b"\x00", "00"),
        ("client-id", b"", "the client assigned the event id"),
        ("dlq-at", b"soon", "soon"),
        ("dlq-at", b"9" * 30, f"{'9' * 30} ({'9' * 30} ms)"),
        ("other", b"\xff\x00", "ff 00"),
        ("type", b"pageview", "pageview"),
    ],
)
def test_invalid_headers_are_shown(name: str, value: bytes, shown: str) -> None:
    """As text if they are UTF-8, else in hex."""
    assert readable(name, value) == shown


def test_every_reason_has_a_next_step() -> None:
    """New reasons need one, too."""
    assert NEXT_STEPS.keys() == set(DeadLetterReason)


def test_the_list_ends_with_the_counts() -> None:
    """They include dead letters that are not listed."""
    overview = _overview(Counter({"rule_failed": 1_200, "": 1}))
    shown = _shown(render_overview(overview, 200))

    assert "events-session/3/12" in shown
    assert "2023-11-14 22:13:20 replayed" in shown
    assert "\x1b" not in shown
    assert [
        line.split("│")[1].strip() for line in shown.splitlines() if "│" in line and "1,20" in line
    ] == [
        "rule_failed",
        "all",
    ]


def test_a_narrow_terminal_shows_everything() -> None:
    """With two values in a column."""
    overview = _overview(Counter({"rule_failed": 1}))
    console = Console(file=io.StringIO(), width=80)
    for part in render_overview(overview, console.width):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()

    for part in ("events-session-dlq/3/0", "rule_failed", "sessionize", "events-session/3/12"):
        assert part in shown


@pytest.mark.parametrize(
    ("every", "replayed", "discarded", "verdict"),
    [
        (1, 0, 0, "1 dead letter to look at: see `headrace dlq show ID`"),
        (3, 1, 1, "1 dead letter to look at: "),
        (1_203, 1, 0, "1,202 dead letters to look at: "),
        (2, 1, 1, "Nothing to do. 2 dead letters: 1 replayed, 1 discarded."),
        (1, 0, 1, "Nothing to do. 1 dead letter: 1 discarded."),
    ],
)
def test_the_list_begins_with_the_verdict(
    every: int, replayed: int, discarded: int, verdict: str
) -> None:
    """The number of open dead letters, and what to do."""
    overview = _overview(Counter({"rule_failed": every}), replayed, discarded)

    assert _shown(render_overview(overview, 200)).startswith(verdict)


def test_a_discarded_dead_letter_shows_author_and_reason() -> None:
    """Without a next step; both are untrusted text."""
    record = _record(codec.encode(_EVENT))
    resolution = _resolution(discard_reason="a test \x1b[2J", discarded_by="ada@gate")
    shown = _shown(render_record(record, Resolutions({}, {to_letter(record).key: resolution})))

    assert "Discarded 1970-01-01 00:00:00 by ada@gate: a test \\x1b[2J" in shown
    assert "headrace dlq replay" not in shown


def test_an_empty_list_is_a_sentence() -> None:
    """Without a table."""
    nothing = Overview([], _NOTHING_DONE, Counts(Counter(), Counter(), Counter()))

    assert _shown(render_overview(nothing, 80)) == "There are no dead letters.\n"


@pytest.mark.parametrize(
    "text",
    ["", "events-raw-dlq", "events-raw-dlq/0", "events-raw/0/1", "events-raw-dlq/0/-1", "a/b/c"],
)
def test_an_invalid_id_is_rejected_with_an_example(text: str) -> None:
    """An id of another topic is invalid, too."""
    with pytest.raises(UserError, match="events-raw-dlq/0/17"):
        RecordId.parse(text)


def test_an_id_is_parsed() -> None:
    """White space around it is ignored."""
    place = RecordId("events-raw-dlq", 0, 17)

    assert RecordId.parse(f" {place} ") == place


def _replay_headers(record: Any) -> dict[str, bytes]:
    return dict(replay_headers(record, to_letter(record)))


def test_a_replay_has_the_original_headers_and_its_stage() -> None:
    """Without those of the dead letter and of the router, which are written again."""
    replayed = _replay_headers(_record(b""))

    assert replayed == {
        "id": bytes(15) + b"\x07",
        "replay-for": b"sessionize",
        "replay-of": b"events-raw/3/7",
    }


def test_a_record_routed_twice_is_one_dead_letter() -> None:
    """Both copies have one origin in events-raw, but two offsets in events-session."""
    again = dict(_HEADERS) | {"dlq-offset": b"13"}

    assert to_letter(_record(b"", again.items())).key == to_letter(_record(b"")).key


def test_a_rejected_replay_is_a_new_dead_letter() -> None:
    """It can be replayed again after its cause is fixed."""
    rejected = _replay_headers(_record(b"")) | dict(_HEADERS) | {"src": Source(3, 99, 0).pack()}
    letter = to_letter(_record(b"", rejected.items()))

    assert letter.key == "sessionize:events-raw/3/99"
    assert letter.key != to_letter(_record(b"")).key


def test_replays_keep_the_first_offset_of_an_event() -> None:
    """Its row has its offset in events-raw."""
    rejected = dict(_HEADERS) | {"dlq-stage": b"store_events", "dlq-topic": b"events-raw"}
    first = _replay_headers(_record(b"", rejected.items()))
    second = _replay_headers(_record(b"", (first | rejected | {"dlq-offset": b"80"}).items()))

    assert (first["replay-offset"], second["replay-offset"]) == (b"12", b"12")
    assert second["replay-of"] == b"events-raw/3/80"


@pytest.mark.parametrize("name", ["dlq-stage", "dlq-topic"])
def test_dead_letters_of_other_writers_cannot_be_replayed(name: str) -> None:
    """Their stage is unknown."""
    headers = {key: value for key, value in _HEADERS if key != name}

    assert to_letter(_record(b"")).is_replayable
    assert not to_letter(_record(b"", headers.items())).is_replayable
