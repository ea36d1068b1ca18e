"""Traces from a request through record headers to SQL, with the real agents and a real database."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode
from sqlalchemy import select

from producer_api.http.app import Api
from schemas.headers import TRACEPARENT, find
from schemas.tracing import MAX_SPANS_PER_BATCH, Tracer
from sinks.agents import sink_agents
from sinks.sql.tables import EventRow, table_of
from sinks.sql.writer import open_writer
from streams.agents import route_events
from streams.engine.batch import Batch
from streams.engine.processor import BatchProcessor
from streams.engine.worker import Worker
from tests.component.producer_api.conftest import client_of, new_api
from tests.component.producer_api.fake_kafka import FakeKafka, Stored
from tests.component.streams.bench import Bench, InRecord
from tests.component.streams.test_route_events import FakeTail
from tests.fixtures.migrated import create_migrated
from tests.unit.streams.samples import NOON_MS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
EVENT = {"type": "pageview", "site_id": "shop", "session_id": "s", "url": "https://shop.example/a"}


class Traces:
    """A tracer that samples no new traces, and the spans that it exported."""

    def __init__(self, ratio: float = 0.0) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans so far."""
        return self._exporter.get_finished_spans()


@pytest.fixture
def traces() -> Traces:
    """Return a tracer without spans."""
    return Traces()


async def send(
    api: Api, events: Any = EVENT, *, sampled: bool | None, path: str = "/api/event"
) -> httpx.Response:
    """Send events, with a sampled trace context, one that is not, or none."""
    headers = {} if sampled is None else {TRACEPARENT: f"00-{TRACE}-{CALLER}-0{sampled:d}"}
    async with client_of(api) as client:
        return await client.post(path, json=events, headers=headers)


async def traced_api(fake: FakeKafka, traces: Traces) -> Api:
    """Return a started application with traces."""
    api = new_api(fake)
    api.intake.trace(traces.tracer)
    await api.start()
    return api


class Pipeline(Bench):
    """A worker with one agent and traces, which owns the partitions of its batches."""

    def __init__(self, register: Any, traces: Traces, agent: str) -> None:
        self._wanted = agent
        super().__init__(register)
        producer: Any = self.noted
        self.processor = BatchProcessor(
            self.group, producer, self.fence, self.breaker, self.capacity
        )
        self.processor.counters.register(agent)
        self.processor.tracer = traces.tracer
        self.fence.begin()

    def add(self, agent: Any) -> None:
        """Keep the wanted agent."""
        if agent.name == self._wanted:
            self.one = agent

    async def process(self, record: InRecord) -> None:
        """Process a batch of one record."""
        batch = Batch(self.one.name, self.source.name, record.partition, [record])
        self.group.owned = frozenset([(self.source.name, record.partition)])
        assert await self.processor.process(self.one, batch)


def as_record(stored: Stored) -> InRecord:
    """Return a stored record as a consumer reads it."""
    headers = tuple(stored.headers)
    return InRecord(0, stored.key, stored.value, headers, stored.partition, NOON_MS)


async def test_a_trace_leads_from_the_request_to_sql(traces: Traces, tmp_path: Path) -> None:
    """The caller's trace context is honoured, and passed on in the record's header."""
    fake = FakeKafka()
    response = await send(await traced_api(fake, traces), sampled=True)
    assert response.status_code == 202
    [stored] = fake.stored

    def route(worker: Worker) -> None:
        tail: Any = FakeTail()
        route_events.register(worker, tail, lambda _: 0)

    router = Pipeline(route, traces, "route_events")
    await router.process(as_record(stored))
    routed = router.noted.sent["events-session", stored.partition][0]
    assert find(routed.headers, TRACEPARENT) == find(stored.headers, TRACEPARENT)

    url = create_migrated(f"sqlite:///{tmp_path}/headrace.db")
    writer = await open_writer(url, app="a", cluster_id="c", should_stop=bool)
    try:
        sink = Pipeline(lambda worker: sink_agents.register(worker, writer), traces, "store_events")
        await writer.assign("events-raw", stored.partition)
        await sink.process(as_record(stored))
        rows = await writer.database.run(
            lambda c: c.execute(select(table_of(EventRow).c.site_id)).all()
        )
    finally:
        await writer.close()
    assert [tuple(row) for row in rows] == [("shop",)]

    request, routing, storing = traces.spans
    assert [span.name for span in traces.spans] == [
        "POST /api/event",
        "route_events",
        "store_events",
    ]
    for span in traces.spans:
        context = span.get_span_context()
        assert context is not None
        assert f"{context.trace_id:032x}" == TRACE
        assert span.status.status_code is not StatusCode.ERROR
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == CALLER
    for span in (routing, storing):
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id  # type: ignore[union-attr]
        assert span.attributes is not None
        assert span.attributes["messaging.kafka.offset"] == 0
    assert "s" not in json.dumps([dict(span.attributes or {}) for span in traces.spans]).split('"')


async def test_a_batch_is_one_span_and_its_records_share_the_context(traces: Traces) -> None:
    """Rejected events have none."""
    fake = FakeKafka()
    events = [EVENT, {"type": "nonsense"}, {**EVENT, "session_id": "other"}]
    response = await send(await traced_api(fake, traces), events, sampled=True, path="/api/events")

    assert [one["status"] for one in response.json()["results"]] == [
        "accepted",
        "rejected",
        "accepted",
    ]
    [span] = traces.spans
    assert span.name == "POST /api/events"
    assert dict(span.attributes or {}) == {"headrace.site_id": "shop", "headrace.events": 2}
    assert len({find(stored.headers, TRACEPARENT) for stored in fake.stored}) == 1


@pytest.mark.parametrize("sampled", [False, None])
async def test_a_request_that_is_not_sampled_leaves_no_trace(
    traces: Traces, sampled: bool | None
) -> None:
    """Neither a header of the record, nor a span."""
    fake = FakeKafka()
    assert (await send(await traced_api(fake, traces), sampled=sampled)).status_code == 202

    [stored] = fake.stored
    assert find(stored.headers, TRACEPARENT) is None
    assert traces.spans == ()


async def test_a_ratio_samples_requests_without_a_context() -> None:
    """With a malformed one, too; a new trace begins."""
    traces, fake = Traces(ratio=1.0), FakeKafka()
    api = await traced_api(fake, traces)
    async with client_of(api) as client:
        await client.post("/api/event", json=EVENT)
        await client.post(
            "/api/event", json=EVENT, headers=[(TRACEPARENT.encode(), b"00-nonsense-\xff")]
        )

    assert [span.parent for span in traces.spans] == [None, None]
    assert None not in [find(stored.headers, TRACEPARENT) for stored in fake.stored]


async def test_an_event_that_kafka_does_not_confirm_is_an_error(traces: Traces) -> None:
    """Its span ends when the client gets its 500."""
    fake = FakeKafka()
    fake.fails = True
    response = await send(await traced_api(fake, traces), sampled=True)

    assert response.status_code == 500
    assert [span.status.status_code for span in traces.spans] == [StatusCode.ERROR]


def test_the_spans_of_a_batch_are_bounded(traces: Traces) -> None:
    """A client could have every event sampled."""
    header = (TRACEPARENT, f"00-{TRACE}-{CALLER}-01".encode())
    records = [
        InRecord(offset, b"shop:s", b"", (header,)) for offset in range(3 * MAX_SPANS_PER_BATCH)
    ]
    with traces.tracer.batch("store_events", "events-raw", 0, records):
        pass

    assert len(traces.spans) == MAX_SPANS_PER_BATCH


async def test_without_traces_a_trace_context_is_not_even_read() -> None:
    """The record has no header of it."""
    fake = FakeKafka()
    api = new_api(fake)
    await api.start()
    assert (await send(api, sampled=True)).status_code == 202

    [stored] = fake.stored
    assert find(stored.headers, TRACEPARENT) is None
