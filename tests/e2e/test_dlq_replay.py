"""Replayed dead letters have their effect exactly once."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from headrace.ops.dead_letters.replay import Report, Selection, replay
from schemas import codec
from schemas.headers import SOURCE, Source
from tests.contract.schemas.record_examples import MAKERS
from tests.e2e import operating
from tests.e2e.conftest import MakeStack
from tests.e2e.poison import Poison, new_event, valid_headers, write
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)

_NOON = 1_775_044_800_000_000
_STATE: Any = MAKERS["SessionState"]()
_VISIT = replace(_STATE.visits[0], state="closed", close_reason="idle", leaving=False, events=7)
_PAGE: Any = MAKERS["PageDuration"]()


def _event(session: str, **fields: Any) -> bytes:
    given = {"type": "pageview", "received_at": _NOON, "event_ts": _NOON, **fields}
    return codec.encode(new_event(site_id="poisoned", session_id=session, **given))


#: Valid records, by the stage that had rejected them before its bug was fixed.
_RECORDS: dict[str, tuple[str, bytes, bytes]] = {
    "sessionize": ("events-session", b"poisoned:a", _event("a")),
    "aggregate_durations": (
        "events-pageleave",
        b"poisoned:a",
        _event("a", type="pageleave", duration_ms=500, path="/a"),
    ),
    "raise_alerts": ("events-alert", b"poisoned", _event("a", type="payment")),
    "store_events": ("events-raw", b"poisoned:b", _event("b")),
    "store_sessions": (
        "sessions",
        b"poisoned:c",
        codec.encode(replace(_STATE, site_id="poisoned", session_id="c", visits=[_VISIT])),
    ),
    "store_durations": (
        "page-durations",
        b"1:poisoned:2026-04-01T12Z:/b",
        codec.encode(replace(_PAGE, site_id="poisoned", path="/b", partition=1, leaves=2)),
    ),
}


def _dead_letter(stage: str, offset: int) -> Poison:
    (topic, key, value) = _RECORDS[stage]
    reason = {"dlq-reason": "rule_failed", "dlq-detail": "KeyError()", "dlq-stage": stage}
    position = {"dlq-topic": topic, "dlq-partition": "1", "dlq-offset": str(offset), "dlq-at": "1"}
    headers = {name: text.encode() for name, text in (reason | position).items()}
    src = {SOURCE: Source(1, 5, 1).pack()} if topic.startswith("events-") else {}
    return Poison(
        stage, f"{topic}-dlq", key, value, {**valid_headers(b"pageview"), **src, **headers}
    )


def _poisoned(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    return {
        "events": stack.rows("SELECT session_id, kafka_offset AS n FROM events"),
        "sessions": stack.rows("SELECT session_id, events AS n FROM sessions ORDER BY 1"),
        "pages": stack.rows("SELECT path, leaves AS n FROM page_durations ORDER BY 1"),
        "alerts": stack.rows("SELECT rule, count(*) AS n FROM alerts GROUP BY rule"),
    }


async def test_a_dead_letter_has_its_effect_once_however_often_it_is_replayed(
    make_stack: MakeStack,
) -> None:
    """Replayed by two operators at the same time, written twice, and replayed again later."""
    stack = await asyncio.to_thread(make_stack, {})
    for stage, (topic, _, _) in _RECORDS.items():
        # The router had forwarded the record twice; for sinks, the dead letter was written twice.
        copies = [
            _dead_letter(stage, 70),
            _dead_letter(stage, 71 if topic.startswith("events-s") else 70),
        ]
        await asyncio.to_thread(write, stack.kafka, copies, 1)
    reports = [Report(), Report(), Report()]

    async def operate(report: Report) -> None:
        await replay(operating.settings(stack), Selection(), report, lambda _: None, dry_run=False)

    await asyncio.gather(operate(reports[0]), operate(reports[1]))

    expected = {
        "events": [{"session_id": "b", "n": 70}],
        "sessions": [{"session_id": "a", "n": 1}, {"session_id": "c", "n": 7}],
        "pages": [{"path": "/a", "n": 1}, {"path": "/b", "n": 2}],
        "alerts": [{"rule": "payment", "n": 1}],
    }
    await asyncio.to_thread(
        lambda: eventually(
            lambda: _poisoned(stack) == expected,
            within_seconds=40,
            what="all records have their effect",
        )
    )
    await operate(reports[2])
    assert reports[0].replayed.total() == len(_RECORDS)
    assert (reports[2].replayed.total(), reports[2].already_replayed.total()) == (0, len(_RECORDS))

    # Later sessions in the same partitions show that everything was processed.
    await asyncio.to_thread(operating.post_good, stack)
    await asyncio.to_thread(
        lambda: eventually(
            lambda: operating.has_good(stack, 200), within_seconds=40, what="all records are read"
        )
    )
    stack_rows = _poisoned(stack)
    assert [row for row in stack_rows["sessions"] if row["session_id"] in "ac"] == expected[
        "sessions"
    ]
    assert stack_rows["alerts"] == expected["alerts"]
    assert stack_rows["pages"] == expected["pages"]
