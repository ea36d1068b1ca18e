"""The agents with keyed state: sessionize, aggregate_durations, raise_alerts."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from schemas.codec import decode
from schemas.headers import SOURCE, TYPE
from schemas.records import Alert, PageDuration, SessionState
from schemas.topics import (
    ALERT_STATES,
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
)
from streams.agents import aggregate_durations, raise_alerts, sessionize
from streams.domain.alerts.new_errors import DIGEST, DIGEST_AFTER_MS, MAX_NEW_PER_HOUR
from streams.domain.alerts.subscriptions import Subscriptions
from tests.component.streams.bench import Bench, reasons, routed, routed_erasure, routed_tick
from tests.unit.streams.samples import DAY_MS, HOUR_MS, MINUTE, NOON, NOON_MS, RULES, event

SESSIONIZE = partial(sessionize.register, rules=RULES)


async def _at_once() -> None:
    """No subscriptions, loaded immediately."""


RAISE_ALERTS = partial(raise_alerts.register, subscriptions=Subscriptions(), complete=_at_once)
AGENTS = [SESSIONIZE, aggregate_durations.register, RAISE_ALERTS]


async def a_bench(register: Callable[[Any], None], after: Bench | None = None) -> Bench:
    """Return a worker with partition 0 and the states of the previous worker."""
    bench = Bench(register)
    if after is not None:
        bench.recover(after)
    await bench.assign()
    return bench


async def test_sessionize_stores_visits_and_closes_them_by_ticks() -> None:
    """With the keys of its input, also after a takeover; deleted in the end."""
    first = await a_bench(SESSIONIZE)
    assert first.source is EVENTS_SESSION
    await first.run_batch(
        routed(1, event("a")),
        routed(2, event("b", event_ts=NOON + MINUTE)),
        routed(3, event("c", session_id="s-2")),
    )
    assert [key for key, _ in first.written(SESSIONS)] == [b"shop:s-1", b"shop:s-2"]

    second = await a_bench(SESSIONIZE, after=first)
    await second.run_batch(routed(2, event("b", event_ts=NOON + MINUTE)))
    assert second.written(SESSIONS) == []
    await second.run_batch(routed_tick(9, NOON_MS + HOUR_MS))
    states = [decode(value or b"", SessionState) for _, value in second.written(SESSIONS)]
    assert sorted((one.visits[0].state, one.visits[0].events) for one in states) == [
        ("closed", 1),
        ("closed", 2),
    ]

    await second.run_batch(routed_tick(10, NOON_MS + 2 * DAY_MS))
    assert sorted(second.written(SESSIONS)[2:]) == [(b"shop:s-1", None), (b"shop:s-2", None)]


async def test_aggregate_durations_sums_page_leaves() -> None:
    """Once per batch. After a takeover the sums continue."""
    first = await a_bench(aggregate_durations.register)
    assert first.source is EVENTS_PAGELEAVE
    leaves = [
        routed(offset, event(offset, type="pageleave", duration_ms=1_000)) for offset in range(3)
    ]
    await first.run_batch(*leaves)

    second = await a_bench(aggregate_durations.register, after=first)
    await second.run_batch(*leaves, routed(3, event(3, type="pageleave", duration_ms=500)))

    rows = [
        decode(value or b"", PageDuration)
        for bench in (first, second)
        for _, value in bench.written(PAGE_DURATIONS)
    ]
    assert [(row.leaves, row.total_ms, row.revision) for row in rows] == [
        (3, 3_000, 3),
        (4, 3_500, 4),
    ]

    for offset in (9, 10):
        await second.run_batch(routed_tick(offset, NOON_MS + 2 * DAY_MS))
    assert second.written(PAGE_DURATIONS)[-1] == (b"0:shop:2026-04-01T12Z:/", None)


async def test_raise_alerts_sends_alerts_by_site() -> None:
    """Known errors are not new again after a takeover."""
    first = await a_bench(RAISE_ALERTS)
    assert first.source is EVENTS_ALERT
    error, payment = event("e", type="error"), event("p", type="payment")
    records = [
        routed(offset, one)._replace(key=b"shop") for offset, one in enumerate((error, payment))
    ]
    batch = await first.run_batch(*records, routed(2, event("x")))
    outs = batch.outputs[ALERTS.name, 0]

    assert [decode(out.value or b"", Alert).rule for out in outs] == ["error.new", "payment"]
    assert [out.key for out in outs] == [b"shop", b"shop"]
    assert len(first.written(ALERT_STATES)) == 3

    second = await a_bench(RAISE_ALERTS, after=first)
    again = await second.run_batch(*records, routed(3, event("f", type="error")))
    assert [out.value for out in again.outputs[ALERTS.name, 0]] == [outs[1].value]


async def test_a_digest_is_raised_by_a_tick() -> None:
    """Without further events of the site or its partition."""
    bench = await a_bench(RAISE_ALERTS)
    for number in range(MAX_NEW_PER_HOUR + 1):
        error = event(number, type="error", error_name="E" + chr(ord("a") + number))
        await bench.run_batch(routed(number, error))
    due_ms = NOON_MS + HOUR_MS + DIGEST_AFTER_MS

    early = await bench.run_batch(routed_tick(100, due_ms - 2_000))
    due = await bench.run_batch(routed_tick(101, due_ms + 2_000))
    later = await bench.run_batch(routed_tick(102, due_ms + HOUR_MS))

    (digest,) = (decode(out.value or b"", Alert) for out in due.outputs[ALERTS.name, 0])
    assert (digest.rule, digest.subject, digest.site_id) == ("error.new", DIGEST, "shop")
    assert [out.key for out in due.outputs[ALERTS.name, 0]] == [b"shop"]
    assert not early.outputs
    assert not later.outputs


@pytest.mark.parametrize("register", AGENTS)
async def test_poison_is_dead_lettered_and_its_neighbours_are_processed(
    register: Callable[[Any], None],
) -> None:
    """Without a position, with invalid bytes, or without bytes."""
    bench = await a_bench(register)
    good = routed(1, event("a", type="error", duration_ms=5))

    batch = await bench.run_batch(
        good._replace(headers=((TYPE, b"error"),)),
        good._replace(offset=2, headers=((SOURCE, b"short"),)),
        good._replace(offset=3, value=b"\x00garbage"),
        good._replace(offset=4, value=None),
        good._replace(offset=5, key=None),
        good._replace(offset=6, key=b"shop:another"),
        good._replace(offset=7),
    )

    undecodable, bad_key = ["undecodable"] * 2, ["bad_key"] * 2
    assert reasons(batch) == ["bad_headers", "bad_headers", *undecodable, *bad_key]
    assert batch.dead_letter_offsets == {1, 2, 3, 4, 5, 6}
    assert any(bench.noted.sent.values())


async def test_an_event_that_fails_in_a_rule_is_dead_lettered() -> None:
    """Such as one of the year 300,000. The others of the batch are counted."""
    bench = await a_bench(aggregate_durations.register)
    leaving = {"type": "pageleave", "duration_ms": 5}

    batch = await bench.run_batch(
        routed(1, event("a", **leaving)),
        routed(2, event("b", event_ts=2**63 - 1, **leaving)),
        routed(3, event("c", **leaving)),
    )

    assert reasons(batch) == ["rule_failed"]
    ((_, value),) = bench.written(PAGE_DURATIONS)
    assert decode(value or b"", PageDuration).leaves == 2


async def test_an_erasure_without_a_session_is_dead_lettered() -> None:
    """Only a record of another producer has no key, or one that is no text."""
    bench = await a_bench(SESSIONIZE)
    batch = await bench.run_batch(
        routed(1, event("a")),
        routed_erasure(2, None),
        routed_erasure(3, b"\xff:s-1"),
        routed_erasure(4, b"shop:s-2"),
    )

    assert reasons(batch) == ["rule_failed", "rule_failed"]
    assert [key for key, _ in bench.written(SESSIONS)] == [b"shop:s-2", b"shop:s-1", b"shop:s-2"]
