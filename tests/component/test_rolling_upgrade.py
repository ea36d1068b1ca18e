"""A rolling upgrade: agents of this version read events and states of earlier versions."""

from typing import Any

import pytest
from sqlmodel import SQLModel

from schemas.codec import decode
from schemas.headers import EVENT_ID, SOURCE, TYPE
from schemas.records import Alert, RawEvent, SessionState
from schemas.topics import ALERTS, EVENTS_SESSION, SESSIONS
from sinks.agents.sink_agents import SINKS
from sinks.sql.tables import EventRow, SessionRow, table_of
from streams.domain.sessions import rules
from streams.engine.offset_range import OffsetRange
from tests.component.streams.bench import Bench, InRecord, routed
from tests.component.streams.test_count_live import LiveBench
from tests.component.streams.test_route_events import a_router
from tests.component.streams.test_table_agents import RAISE_ALERTS, SESSIONIZE
from tests.contract.schemas.record_examples import FOLDER
from tests.unit.streams.samples import RULES, event, source

#: A payment encoded by the API server of the first version.
V1 = (FOLDER / "1-RawEvent.bin").read_bytes()
V1_EVENT = decode(V1, RawEvent)
V1_HEADERS = (
    (EVENT_ID, bytes.fromhex(V1_EVENT.event_id.replace("-", ""))),
    (TYPE, V1_EVENT.type.encode()),
)
KEY = f"{V1_EVENT.site_id}:{V1_EVENT.session_id}".encode()
#: Derived fields of a later event of the same session, by this version.
DERIVED: dict[str, Any] = {"source": "Google", "channel": "Organic Search", "country": "AT"}
V2_EVENT = event(
    "second",
    site_id=V1_EVENT.site_id,
    session_id=V1_EVENT.session_id,
    event_ts=V1_EVENT.event_ts + 1,
    received_at=V1_EVENT.received_at,
    device="mobile",
    **DERIVED,
)
MODELS: dict[str, type[SQLModel]] = {"store_events": EventRow, "store_sessions": SessionRow}


def v1_record(*more: tuple[str, bytes]) -> InRecord:
    """Return the event of the first version as a record."""
    return InRecord(0, KEY, V1, (*V1_HEADERS, *more))


def v1_routed() -> InRecord:
    """Return the routed record of the event of the first version."""
    return v1_record((SOURCE, source(0).pack()))


def row_of(sink: str, value: bytes | None) -> dict[str, Any]:
    """Return the only row of a record."""
    record: Any = v1_record()
    [row] = SINKS[sink].to_rows(decode(value or b"", SINKS[sink].record), record, 0, 0)
    return dict(zip(table_of(MODELS[sink]).columns.keys(), row, strict=True))


async def test_events_of_both_versions_are_routed_into_one_visit() -> None:
    """The old event has the trust `open` and no attributes."""
    batch = await (await a_router()).run_batch(v1_record())
    assert [out.value for out in batch.outputs[EVENTS_SESSION.name, 0]] == [V1]

    bench = Bench(SESSIONIZE)
    await bench.assign()
    await bench.run_batch(v1_routed(), routed(1, V2_EVENT))

    [(_, value)] = bench.written(SESSIONS)
    row = row_of("store_sessions", value)
    assert (row["events"], row["payments"], row["trust"]) == (2, 1, "open")
    assert {name: row[name] for name in DERIVED} == DERIVED


@pytest.mark.parametrize("example", ["2-SessionState", "12-SessionState"])
def test_an_event_extends_a_visit_of_an_earlier_version(example: str) -> None:
    """The old visit has no attributes; the new event is the first that has some."""
    state = decode((FOLDER / f"{example}.bin").read_bytes(), SessionState)
    [visit] = state.visits
    visit.state, visit.leaving = "open", False

    new = event("new", event_ts=visit.ended_at + 1, **DERIVED)
    [changed] = rules.apply(state, new, source(99), RULES).visits

    assert (changed.events, changed.entry) == (visit.events + 1, visit.entry)
    assert changed.traffic_source is not None
    assert (changed.traffic_source.source, changed.trust) == ("Google", "open")


async def test_a_payment_of_the_first_version_raises_an_alert_with_trust_open() -> None:
    """Subscriptions that require a site key do not get it."""
    bench = Bench(RAISE_ALERTS)
    await bench.assign()
    batch = await bench.run_batch(v1_routed()._replace(key=V1_EVENT.site_id.encode()))

    [out] = batch.outputs[ALERTS.name, 0]
    assert out.value is not None
    assert '"trust": "open"' in decode(out.value, Alert).details


async def test_events_of_both_versions_are_counted_live() -> None:
    """A session has the country and the device of the first event that has one."""
    bench = LiveBench()
    bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.run_batch(v1_routed())
    [before] = await bench.published()
    await bench.run_batch(routed(1, V2_EVENT))
    [after] = await bench.published()

    assert (before.sessions, before.countries, before.devices) == (1, [], [])
    assert [(one.name, one.sessions) for one in after.countries] == [("AT", 1)]
    assert [(one.name, one.sessions) for one in after.devices] == [("mobile", 1)]


def test_an_event_of_the_first_version_is_stored() -> None:
    """Without derived fields, and counted."""
    row = row_of("store_events", V1)

    assert (row["event_id"], row["trust"]) == (V1_EVENT.event_id, "open")
    assert [row[name] for name in ("browser", "country", "source", "excluded")] == [None] * 4
    assert row["is_bot"] is False
