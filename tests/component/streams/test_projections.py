"""Agents decode only the fields of an event that their rules read."""

from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.topics import LIVE_COUNTERS
from streams.agents import aggregate_durations, count_live, raise_alerts, sessionize
from streams.engine.offset_range import OffsetRange
from tests.component.streams.bench import Bench, InRecord, routed
from tests.component.streams.test_count_live import LiveBench
from tests.component.streams.test_table_agents import RAISE_ALERTS, SESSIONIZE
from tests.contract.schemas.record_examples import MAKERS
from tests.unit.streams.samples import uuid_of


def every_type_with_every_field() -> list[InRecord]:
    """Return events with all fields, and some without a path."""
    full: Any = MAKERS["RawEvent"]()
    events = [replace(full, event_id=uuid_of(name), type=name) for name in EVENT_TYPES]
    events += [replace(one, event_id=uuid_of(one), path=None) for one in events]
    return [routed(offset, event) for offset, event in enumerate(events)]


async def _led_to(bench: Bench) -> dict[Any, Any]:
    """Return the results of the events: outputs, written states and published counters."""
    if isinstance(bench, LiveBench):
        bench.counting.assign({0: OffsetRange(0, 0)})
    await bench.assign()
    batch = await bench.run_batch(*every_type_with_every_field())
    assert not batch.dead_letters
    live = {LIVE_COUNTERS: await bench.published()} if isinstance(bench, LiveBench) else {}
    return {**batch.outputs, **bench.noted.sent, **live}


@pytest.mark.parametrize(
    ("agent", "make"),
    [
        (sessionize, lambda: Bench(SESSIONIZE)),
        (aggregate_durations, lambda: Bench(aggregate_durations.register)),
        (raise_alerts, lambda: Bench(RAISE_ALERTS)),
        (count_live, LiveBench),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_an_agent_decodes_all_fields_that_its_rules_read(
    agent: ModuleType, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results equal those of whole events."""
    of_some_fields = await _led_to(make())
    monkeypatch.setattr(agent, "READS", RawEvent.__struct_fields__)
    of_all_fields = await _led_to(make())

    assert of_some_fields == of_all_fields
    assert any(of_all_fields.values())
