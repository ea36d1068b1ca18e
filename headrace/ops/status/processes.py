"""The processes of a cluster, from their heartbeats in the topic `processes` (ADR 72)."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from headrace.ops.status.model import Process, Rejection
from headrace.roles.heartbeat import HEARTBEAT_SECONDS
from schemas.codec import CodecError, decode
from schemas.records import ProcessStatus

_log = logging.getLogger(__name__)

#: Without a heartbeat for this long, a process does not respond.
SILENT_SECONDS = 3 * HEARTBEAT_SECONDS
#: Without a heartbeat for this long, a process is not shown any more.
_FORGOTTEN_SECONDS = 9 * HEARTBEAT_SECONDS
_TIMEOUT_SECONDS = 10.0
_POLL_MS = 200


class Heartbeat(NamedTuple):
    """A heartbeat, and its log append time (s)."""

    status: ProcessStatus
    at: float


async def read_heartbeats(consumer: Any, partitions: Sequence[TopicPartition]) -> list[Heartbeat]:
    """Return the last heartbeat of each process that did not report its end.

    Raises `KafkaError` and `TimeoutError`.
    """
    if not partitions:
        return []
    since_ms = int((time.time() - _FORGOTTEN_SECONDS) * 1_000)
    last: dict[bytes, Heartbeat] = {}
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        reading = {
            tp: ends[tp] for tp, start in starts.items() if start and start.offset < ends[tp]
        }
        consumer.assign(list(reading))
        for tp in reading:
            consumer.seek(tp, starts[tp].offset)
        while reading:
            for records in (await consumer.getmany(*reading, timeout_ms=_POLL_MS)).values():
                last |= _decode(records)
            reading = {tp: end for tp, end in reading.items() if await consumer.position(tp) < end}
    return [heartbeat for heartbeat in last.values() if not heartbeat.status.stopped]


def _decode(records: Iterable[Any]) -> dict[bytes, Heartbeat]:
    heartbeats = {}
    for record in records:
        try:
            status = decode(record.value or b"", ProcessStatus)
        except CodecError as error:
            _log.warning("skipped a record of %s: %s", record.topic, error)
        else:
            heartbeats[record.key] = Heartbeat(status, record.timestamp / 1_000)
    return heartbeats


def processes_of(heartbeats: Iterable[Heartbeat], now: float) -> list[Process]:
    """Return the processes by role, host and process id; `now` is the Unix time in seconds."""
    return sorted(
        (
            Process(
                role=status.role,
                host=status.host,
                pid=status.pid,
                version=status.version,
                started_at=datetime.fromtimestamp(status.started_at / 1_000_000, UTC),
                seen_at=datetime.fromtimestamp(at, UTC),
                silent_seconds=now - at if now - at > SILENT_SECONDS else None,
                not_ready=status.not_ready,
                counters=status.counters,
            )
            for status, at in heartbeats
        ),
        key=lambda process: (process.role, process.host, process.pid),
    )


def rejections_of(heartbeats: Iterable[Heartbeat]) -> list[Rejection]:
    """Return the rejections of all processes, summed by site and reason; most events first."""
    events: Counter[tuple[str, str]] = Counter()
    for status, _ in heartbeats:
        for one in status.rejections:
            events[one.site_id, one.reason] += one.events
    return [
        Rejection(site=site, reason=reason, events=count)
        for (site, reason), count in events.most_common()
    ]
