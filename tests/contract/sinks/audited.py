"""A pipeline without Kafka, for audits: the aggregators and the batch writer."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from headrace.ops.rebuild.changelog import Put
from schemas.codec import decode
from schemas.headers import Source
from schemas.positions import epoch_of, offset_of
from schemas.records import Alert, AlertState, PageDuration, RawEvent, SessionState, Utm
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql.batch import SourcedRow
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from sinks.sql.writer import Writer
from streams.app import partitioner
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from streams.domain.durations.aggregator import DurationAggregator
from streams.domain.sessions.aggregator import SessionAggregator
from streams.engine.capacity import MAX_STATES
from tests.contract.sinks.samples import expect_no_rejection, open_for_test
from tests.unit.streams import samples
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import HOUR, MINUTE, NOON, RULES, source

Log = Sequence[tuple[RawEvent, Source]]

#: Events per batch.
_FETCH = 7


_TYPES = ["pageview"] * 4 + ["pageleave"] * 3 + ["web_vitals", "button_click", "error", "payment"]


#: The partitions of keys in a log.
PARTITION_OF = partitioner(4)


def clickstream(count: int, seed: int) -> Log:
    """Return a log of four partitions, with late events, imports and unusual names."""
    choose = random.Random(seed)  # noqa: S311 - a test's choice
    log: list[tuple[RawEvent, Source]] = []
    for offset in range(count):
        at = NOON + offset * 100_000_000
        session = choose.randrange(40)
        kind = choose.choice(_TYPES)
        lateness = choose.choice([0, 0, 1, 10 * MINUTE, 40 * MINUTE, 30 * HOUR])
        made = samples.event(
            f"{seed}-{offset}",
            type=kind,
            site_id=f"shop-{'aB-_.ab'[session % 7]}",
            session_id=f"sess ä{session}ΩZz"[: 6 + session % 5] + str(session),
            received_at=at,
            event_ts=at - lateness,
            path=choose.choice(["/a", "/b", "/ä?x", None]),
            url="https://shop.example/url",
            hostname=choose.choice([None, "www.Shop.example"]),
            referrer=choose.choice(
                [
                    None,
                    "https://search.example/?q",
                    "https://shop.example/a",
                    "http://shop.example:80",
                ]
            ),
            utm=choose.choice([None, Utm(source="s", campaign=f"c{offset}")]),
            visitor_id=choose.choice([None, "", f"v{offset}"]),
            duration_ms=choose.randrange(100_000) if kind == "pageleave" else None,
            error_name=choose.choice(["A", "B", "C"]) if kind == "error" else None,
            amount=Decimal(choose.choice(["12.50", "0.1", "99999999.99"])),
            currency="EUR",
            **_derived(choose),
        )
        partition = PARTITION_OF(f"{made.site_id}:{made.session_id}".encode())
        log.append((made, source(offset, at // 1_000, partition)))
    return log


def _derived(choose: random.Random) -> dict[str, Any]:
    """Return the fields that the server derives; events of earlier versions have none."""
    if choose.random() < 0.2:
        return {}
    return {
        "source": choose.choice([None, "Google", "Reddit"]),
        "channel": choose.choice(["Direct", "Organic Search"]),
        "country": choose.choice([None, "AT", "DE"]),
        "region": choose.choice([None, "AT-9"]),
        "browser": choose.choice([None, "Firefox"]),
        "os": choose.choice([None, "Linux"]),
        "device": choose.choice([None, "mobile", "desktop"]),
        "trust": choose.choice(["open", "origin", "key"]),
        "excluded": choose.choice([None] * 9 + ["bot"]),
    }


class Pipeline:
    """Stores events and what comes of them, call by call, in the database at `url`.

    Excluded events are only stored.

    `sessions` and `durations` are the tables of the stream jobs, by partition.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._flows = itertools.count()
        self._alerts = FakeStates(AlertState)
        self.sessions: defaultdict[int, FakeStates[SessionState]] = defaultdict(
            lambda: FakeStates(SessionState)
        )
        self.durations: defaultdict[int, FakeStates[PageDuration]] = defaultdict(
            lambda: FakeStates(PageDuration)
        )

    async def process(self, log: Log) -> None:
        """Process a log; each call starts with newly assigned workers."""
        by_partition: defaultdict[int, list[tuple[RawEvent, Source]]] = defaultdict(list)
        routed = [entry for entry in log if entry[0].excluded is None]
        for event, src in routed:
            by_partition[src.partition].append((event, src))
        rows: defaultdict[Any, list[Any]] = defaultdict(list)
        rows[EventRow] = [
            event_row(event, src.partition, offset_of(src.offset), epoch_of(src.offset))
            for event, src in log
        ]
        for partition, part in by_partition.items():
            for state in _sessionize(self.sessions[partition], part):
                rows[SessionRow] += session_rows(state)
            pages = _add_up(self.durations[partition], part, partition)
            rows[PageDurationRow] += map(duration_row, pages)
        rows[AlertRow] += map(alert_row, _raise(self._alerts, routed))
        writer = await open_for_test(self._url)
        try:
            for model, some in rows.items():
                await self._write(writer, {model: list(enumerate(some))}, len(some))
        finally:
            await writer.close()

    def recover(self, sessions: Iterable[Put] = (), durations: Iterable[Put] = ()) -> None:
        """Restore states from changelog writes, as a worker does when it starts."""
        for put in sessions:
            _take(self.sessions[put.partition], put, SessionState)
        for put in durations:
            _take(self.durations[put.partition], put, PageDuration)

    async def _write(
        self, writer: Writer, rows: dict[Any, list[SourcedRow]], next_offset: int
    ) -> None:
        topic = f"process-{next(self._flows)}"
        await writer.assign(topic, 0)
        await writer.write(topic, 0, next_offset, rows, expect_no_rejection)


def _take(states: FakeStates[Any], put: Put, kind: type[Any]) -> None:
    if put.value is None:
        states.delete(put.key)
    else:
        states.put(put.key, decode(put.value, kind))
    states.write()


def _sessionize(states: FakeStates[SessionState], log: Log) -> list[SessionState]:
    aggregator, published = SessionAggregator(states, RULES), len(states.published)
    for key, state in states.stored().items():
        aggregator.restore(key, state)
    for start in range(0, len(log), _FETCH):
        aggregator.evict(MAX_STATES)
        for event, src in log[start : start + _FETCH]:
            while aggregator.advance(src):
                pass
            aggregator.add(event, src)
        states.write()
    return [state for _, state in states.published[published:]]


def _add_up(states: FakeStates[PageDuration], log: Log, partition: int) -> list[PageDuration]:
    aggregator, published = DurationAggregator(states, partition), len(states.published)
    for key, state in states.stored().items():
        aggregator.restore(key, state)
    for start in range(0, len(log), _FETCH):
        aggregator.evict(MAX_STATES)
        for event, src in log[start : start + _FETCH]:
            aggregator.advance(src)
            if event.type == "pageleave":
                aggregator.add(event, src)
        aggregator.flush()
        states.write()
    return [state for _, state in states.published[published:]]


def _raise(states: FakeStates[AlertState], log: Log) -> list[Alert]:
    aggregator = AlertAggregator(states, Subscriptions())
    for key, state in states.stored().items():
        aggregator.restore(key, state)
    raised = []
    for event, src in log:
        aggregator.evict(MAX_STATES)
        aggregator.advance(src)
        raised += [*aggregator.add(event, src), *(alert for _, alert in aggregator.flush())]
        states.write()
    return raised
