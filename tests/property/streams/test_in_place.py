"""States that change in place, and stay decoded, give the records of states that are copied.

The agent `sessionize` runs on the engine's batches, tables and restoration (docs/adr/0088).
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode, encode, projection
from schemas.records import RawEvent, SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS, VISITS
from streams.agents.sessionize import READS
from streams.domain.sessions import rules
from streams.domain.sessions.aggregator import SessionAggregator
from streams.engine import agent
from streams.engine.agent import Aggregation
from streams.engine.batch import Batch
from streams.engine.capacity import Capacity
from streams.engine.events import EventStream
from streams.engine.partition_states import PartitionStates
from streams.engine.producer import OutRecord, StoppingError
from streams.engine.table import BatchTable
from tests.component.streams.bench import InRecord, routed, routed_erasure, routed_tick
from tests.property.streams.histories import Shape, logs
from tests.property.streams.test_sessions import TYPES, events
from tests.unit.streams.samples import DAY_MS, MINUTE_MS, NOON_MS, RULES

_WAITS_MS = (0, 0, 1, 1_000, MINUTE_MS, 40 * MINUTE_MS, -10 * MINUTE_MS, 27 * 60 * MINUTE_MS)
#: What becomes of a batch: it is written, or discarded by the circuit breaker; or the worker is
#: stopped before its states are written.
_FATES = (*["written"] * 6, "discarded", "stopped")
_RARELY = st.sampled_from([False, False, False, True])


class _Batch(NamedTuple):
    """A batch of `size` records, its worker (0 or 1), and whether that restores its table before.

    `is_read_again`: its records are read again after it, from a commit that failed.
    """

    size: int
    fate: str
    owner: int
    is_assigned: bool
    is_restored: bool
    is_read_again: bool


_plans = st.lists(
    st.builds(
        _Batch,
        st.integers(1, 5),
        st.sampled_from(_FATES),
        st.integers(0, 1),
        _RARELY,
        st.booleans(),
        _RARELY,
    ),
    min_size=3,
    max_size=12,
)


class _Changelog:
    """A producer that stores records as a consumer reads them."""

    def __init__(self) -> None:
        self.records: list[InRecord] = []
        self.is_stopping = False

    async def send(self, _topic: str, _partition: int, records: Sequence[OutRecord]) -> int:
        """Append the records; half of them if the worker stops."""
        sent = records[: len(records) // 2] if self.is_stopping else records
        for key, value, headers in sent:
            self.records.append(InRecord(len(self.records), key, value, tuple(headers)))
        if self.is_stopping:
            raise StoppingError
        return len(self.records)


async def _sessionize(stream: EventStream, sessions: SessionAggregator) -> None:
    await stream.apply(sessions.add)


class _Worker:
    """The agent and its table, on one partition."""

    def __init__(self, changelog: _Changelog, limit: int) -> None:
        self._changelog = changelog
        self._table: BatchTable[SessionState] = BatchTable(
            SESSIONS, encode, lambda value: decode(value, SessionState)
        )
        self._aggregation = Aggregation(
            _sessionize,
            self._table,
            lambda states, _: SessionAggregator(states, RULES),
            projection(RawEvent, *READS),
            Capacity(limit),
            VISITS,
            None,
        )
        #: The states that the last batch wrote, and as they were written.
        self._written: list[tuple[SessionState, bytes]] = []

    async def assign(self, *, is_restored: bool) -> None:
        """Take over the partition; restore its table unless it is complete."""
        if is_restored or not self._table.is_complete(0, len(self._changelog.records)):
            self._table.begin_recovery(0)
            self._table.recover(0, self._changelog.records)
            self._table.end_recovery(0, len(self._changelog.records))
        await self._aggregation.prepare(0)

    async def run(self, records: Sequence[InRecord], fate: str) -> list[tuple[str, Any]]:
        """Process a batch, and return its outputs and dead letters."""
        batch = Batch("sessionize", EVENTS_SESSION.name, 0, records)
        await self._aggregation.process(batch)
        assert all(encode(state) == written for state, written in self._written)
        self._written = []
        if fate == "discarded":
            self._table.discard_staged(0)
            return [("discarded", None)]
        staged = len(self._changelog.records)
        producer: Any = self._changelog
        await self._table.write_staged(0, batch.last_offset, producer)
        states = self._table.of(0)
        for record in self._changelog.records[staged:]:
            assert record.key is not None
            state = states.get(record.key)
            if state is not None:
                self._written.append((state, states.stored[record.key]))
        return [("outputs", list(batch.outputs.items())), ("rejected", batch.dead_letter_offsets)]


async def _play(
    log: Sequence[InRecord], plan: Sequence[_Batch], limit: int
) -> list[tuple[str, Any]]:
    """Return everything that is sent and written."""
    changelog, sent = _Changelog(), list[tuple[str, Any]]()
    workers, at, last = [_Worker(changelog, limit), _Worker(changelog, limit)], 0, 0
    await workers[0].assign(is_restored=True)
    for size, fate, owner, is_assigned, is_restored, is_read_again in plan:
        records = log[at : at + size]
        if not records:
            break
        if is_assigned or owner != last:
            await workers[owner].assign(is_restored=is_restored)
        last, changelog.is_stopping = owner, fate == "stopped"
        try:
            sent += await workers[owner].run(records, fate)
        except StoppingError:
            workers[owner] = _Worker(changelog, limit)
        changelog.is_stopping = False
        if fate == "written" and not is_read_again:
            at += size
        else:
            await workers[owner].assign(is_restored=is_restored)
    if log[at:]:
        sent += await workers[last].run(log[at:], "written")
    return [*sent, ("changelog", changelog.records)]


def _erasure(session: str) -> Any:
    return lambda _: session


@st.composite
def _records(draw: st.DrawFn) -> list[InRecord]:
    """Return a strategy of routed events, erasures, punctuation and records that are no events."""
    made: Any = events(TYPES) | events(TYPES) | st.sampled_from(["s-1", "s-2", ""]).map(_erasure)
    log = draw(logs(made, Shape(_WAITS_MS, size=30, at_least=10)))
    found = []
    for number, (happened, src) in enumerate(log):
        one: Any = happened
        if one is None:
            record = routed_tick(src.offset, src.log_ms)
        elif one == "":
            record = routed_tick(src.offset, src.log_ms)._replace(key=b"k", headers=())
        elif isinstance(one, str):
            record = routed_erasure(src.offset, f"shop:{one}".encode(), src.log_ms)
        else:
            record = routed(src.offset, one, src.log_ms)
        found.append(record._replace(offset=number))
    return found


@given(_records(), _plans, st.sampled_from([1, 2, 1_000]))
def test_states_in_place_give_the_records_of_copied_states(
    log: list[InRecord], plan: list[_Batch], limit: int
) -> None:
    """With failed batches, evictions, rebalances, erasures, and stream time that goes back.

    Nothing that was written changes afterwards.
    """
    apply = PartitionStates.apply

    def apply_encoded(states: Any, written: Any, version: int, _: object) -> None:
        apply(states, written, version)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "now_ms", lambda: NOON_MS + 400 * DAY_MS)
        in_place = asyncio.run(_play(log, plan, limit))
        patch.setattr(rules, "apply_in_place", lambda *_: False)
        patch.setattr(PartitionStates, "apply", apply_encoded)
        copied = asyncio.run(_play(log, plan, limit))

    assert in_place == copied
