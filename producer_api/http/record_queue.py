"""Queues the records of events for Kafka, and traces them until Kafka confirms them."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from producer_api.events.client import Client
from producer_api.events.draft import EncodedEvent
from producer_api.events.rejection import Rejected
from producer_api.http.paths import BATCH_PATH, EVENT_PATH
from producer_api.produce.accumulator import Accumulator

if TYPE_CHECKING:
    from schemas.tracing import Tracer


class RecordQueue:
    """The accumulator for encoded events. Requests start at `started_at` (`perf_counter`)."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._accumulator = accumulator
        self._tracer: Tracer | None = None

    def trace(self, tracer: "Tracer") -> None:
        """Enable traces."""
        self._tracer = tracer

    def failed(self) -> Rejected:
        """Return the rejection of an event that Kafka did not confirm."""
        return Rejected(self._accumulator.transport.failure)

    def add(self, event: EncodedEvent, client: Client, started_at: float) -> asyncio.Future[bool]:
        """Queue an event, as `Accumulator.add`; raises `Rejected` without capacity for it."""
        self._check_capacity(len(event.value))
        if self._tracer is None:
            return self._accumulator.add(event.key, event.value, event.headers)
        [confirmed] = self._add_traced(self._tracer, [event], client, EVENT_PATH, started_at)
        return confirmed

    def add_batch(
        self, events: Sequence[EncodedEvent], client: Client, started_at: float
    ) -> list[asyncio.Future[bool]]:
        """Queue the events of a batch; raises `Rejected` without capacity for all of them."""
        if not events:
            return []
        self._check_capacity(sum(len(event.value) for event in events))
        if self._tracer is None:
            add = self._accumulator.add
            return [add(event.key, event.value, event.headers) for event in events]
        return self._add_traced(self._tracer, events, client, BATCH_PATH, started_at)

    def _check_capacity(self, size: int) -> None:
        if not self._accumulator.is_open:
            raise self.failed()
        self._accumulator.check_capacity(size)

    def _add_traced(
        self,
        tracer: "Tracer",
        events: Sequence[EncodedEvent],
        client: Client,
        path: str,
        started_at: float,
    ) -> list[asyncio.Future[bool]]:
        """Queue the events of a request with its trace context, and trace it until confirmed."""
        seconds = time.perf_counter() - started_at
        span = tracer.begin_request(f"POST {path}", client.traceparent, seconds)
        more = tracer.record_headers(span)
        confirmations = [
            self._accumulator.add(event.key, event.value, [*event.headers, *more])
            for event in events
        ]
        site = events[0].key.decode().partition(":")[0]
        tracer.end_when_confirmed(
            span, confirmations, {"headrace.site_id": site, "headrace.events": len(events)}
        )
        return confirmations
