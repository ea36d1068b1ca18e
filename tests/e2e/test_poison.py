"""Poison records of every kind, and so many in a row that a partition is stopped."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from headrace.ops.dead_letters.replay import Report, Selection, replay
from schemas import codec
from schemas.headers import SOURCE, Source
from schemas.topics import EVENTS_RAW, EVENTS_SESSION
from tests.e2e import operating
from tests.e2e.conftest import MakeStack
from tests.e2e.poison import Poison, new_event, valid_headers, write
from tests.e2e.stack import PARTITIONS
from tests.fixtures.waiting import eventually, eventually_async

pytestmark = pytest.mark.timeout(240)

_MAX_DEAD_LETTERS = "HEADRACE_KAFKA__MAX_REFUSED_IN_A_ROW"

_KEY = b"poisoned:poison"


def _event(**fields: Any) -> bytes:
    given = {"site_id": "poisoned", "session_id": "poison", "type": "pageview", **fields}
    return codec.encode(new_event(**given))


_WHOLE = _event()

#: Poison records of events-raw, with the stages that reject them and the reasons.
_POISON: list[tuple[Poison, set[tuple[str, str]]]] = [
    *(
        (
            Poison(name, EVENTS_RAW.name, _KEY, value, valid_headers(b"pageview")),
            {("sessionize", "undecodable"), ("store_events", "undecodable")},
        )
        for name, value in (
            ("random bytes", bytes(range(1, 200))),
            ("truncated Avro", _WHOLE[:-7]),
            ("an unknown schema id", b"\x00\x00\x00\x27\x0f" + _WHOLE[5:]),
            ("trailing bytes", _WHOLE + b"\x00"),
            ("no bytes at all", b""),
        )
    ),
    *(
        (Poison(name, EVENTS_RAW.name, key, value, headers), {refused})
        for name, key, value, headers, refused in (
            (
                "a NUL character",
                _KEY,
                _event(title="a\0b"),
                valid_headers(b"pageview"),
                ("store_events", "row_refused"),
            ),
            ("no key", None, _WHOLE, valid_headers(b"pageview"), ("route_events", "bad_key")),
            ("no headers", _KEY, _WHOLE, {}, ("route_events", "bad_headers")),
            (
                "an unknown type",
                *(_KEY, _event(type="dance"), valid_headers(b"dance")),
                ("route_events", "unknown_type"),
            ),
        )
    ),
]


@pytest.mark.slow
async def test_poison_records_are_dead_lettered_and_others_are_not(
    make_stack: MakeStack,
) -> None:
    """Once by each stage, with the reason; if replayed unchanged, they are rejected again."""
    stack = await asyncio.to_thread(make_stack, {})
    await asyncio.to_thread(operating.post_good, stack)
    for partition in range(PARTITIONS):
        await asyncio.to_thread(write, stack.kafka, [record for record, _ in _POISON], partition)
    await asyncio.to_thread(operating.post_good, stack)
    rejections = [rejection for _, rejections in _POISON for rejection in rejections]
    expected = Counter(rejections * PARTITIONS)

    async def all_are_rejected() -> bool:
        return len(await operating.letters(stack)) == expected.total()

    await eventually_async(
        all_are_rejected, within_seconds=40, what="all poison records are rejected"
    )
    await asyncio.to_thread(
        lambda: eventually(
            lambda: operating.has_good(stack, 400),
            within_seconds=40,
            what="the other events are counted",
        )
    )
    letters = await operating.letters(stack)
    assert Counter((letter.stage, letter.reason) for letter in letters) == expected
    assert stack.rows("SELECT event_id FROM events WHERE site_id = 'poisoned'") == []
    assert len({(letter.stage, letter.source) for letter in letters}) == expected.total()
    assert len({(letter.stage, letter.origin) for letter in letters}) == expected.total()

    report = Report()
    await replay(operating.settings(stack), Selection(), report, lambda _: None, dry_run=False)
    assert report.replayed.total() == expected.total()

    async def all_are_rejected_again() -> bool:
        return len(await operating.letters(stack)) == 2 * expected.total()

    await eventually_async(all_are_rejected_again, within_seconds=40, what="all are rejected again")
    again = Counter((letter.stage, letter.reason) for letter in await operating.letters(stack))
    assert again == expected + expected
    assert await asyncio.to_thread(operating.has_good, stack, 400)
    await asyncio.to_thread(
        lambda: eventually(
            lambda: operating.lag(stack) == 0,
            within_seconds=60,
            what="status shows a lag of 0",
        )
    )
    code, status = await asyncio.to_thread(operating.status, stack)
    assert code == 1
    assert {
        f"see `headrace dlq list --topic {topic}-dlq`" for topic in ("events-raw", "events-session")
    } <= {problem["do"].partition(",")[0] for problem in status["problems"]}


@pytest.mark.slow
async def test_a_stopped_partition_continues_after_its_cause_is_fixed(
    make_stack: MakeStack,
) -> None:
    """The role reports it until then; here the operator raises the limit of dead letters."""
    stack = await asyncio.to_thread(make_stack, {})
    bad = [
        Poison(
            "",
            EVENTS_SESSION.name,
            _KEY,
            b"garbage",
            {**valid_headers(b"pageview"), SOURCE: Source(0, n, 0).pack()},
        )
        for n in range(60)
    ]
    await asyncio.to_thread(write, stack.kafka, bad, 0)
    await asyncio.to_thread(
        lambda: eventually(
            lambda: "is stopped" in stack.why_not_ready,
            within_seconds=20,
            what="the partition is stopped",
        )
    )
    await asyncio.to_thread(operating.post_good, stack)
    assert len(await operating.letters(stack)) <= 50
    code, status = await asyncio.to_thread(operating.status, stack)
    problems = [problem["what"] for problem in status["problems"]]
    assert code == 1
    assert any(text.startswith("streams is not ready: sessionize: ") for text in problems)
    assert any("streams makes no progress in events-session, part" in text for text in problems)

    assert await asyncio.to_thread(stack.stop) == 0
    code, status = await asyncio.to_thread(operating.status, stack)
    assert (code, len(status["tables"])) == (1, 4)
    assert "No broker is running" in status["problems"][0]["what"]
    stack.settings[_MAX_DEAD_LETTERS] = "1000"
    await asyncio.to_thread(stack.start)

    await asyncio.to_thread(
        lambda: eventually(
            lambda: operating.has_good(stack, 200),
            within_seconds=40,
            what="the partition continues",
        )
    )
    assert {(letter.stage, letter.reason) for letter in await operating.letters(stack)} == {
        ("sessionize", "undecodable")
    }
    assert len(await operating.letters(stack)) == 60
