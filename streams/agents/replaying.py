"""Replayed dead letters in `events-raw`: each is routed to its stage."""

from collections.abc import Iterator, Mapping

from schemas.headers import EXCLUDED, REPLAY_FOR, REPLAY_OF, Headers, Source, by_name, find
from schemas.positions import position
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import ROUTER, SINK_STAGES, STAGES
from streams.domain.routing.replays import ReplayRegistry
from streams.engine.batch import Batch, InRecord
from streams.engine.stream_time import limited


def is_replay(record: InRecord) -> bool:
    """Return True if a record is a replayed dead letter."""
    return find(record.headers, REPLAY_FOR) is not None


def to_route(
    batch: Batch, replays: ReplayRegistry, epoch: int, now_ms: int
) -> Iterator[tuple[InRecord, Headers, Mapping[str, bytes]]]:
    """Yield the records to route with their headers, also by name; send replays to their stages.

    A replay for the router is yielded like a new record. `now_ms` is the worker's clock.
    """
    for record in batch.records:
        named = by_name(record.headers)
        if named.get(REPLAY_FOR) is None:
            yield record, record.headers, named
        elif _pass_on(batch, record, named, replays, epoch):
            own = [pair for pair in record.headers if pair[0] not in (REPLAY_FOR, REPLAY_OF)]
            yield record, own, named
    replays.end_batch(limited(batch.records[-1].timestamp, now_ms))


def _pass_on(
    batch: Batch,
    record: InRecord,
    named: Mapping[str, bytes],
    replays: ReplayRegistry,
    epoch: int,
) -> bool:
    """Send a replay to the topic of its stage, once; return True if the router must route it.

    Sinks read their replays from `events-raw`. Excluded events are only stored; an earlier version
    may have routed them.
    """
    stage, origin = (
        (named.get(name) or b"").decode("utf-8", "replace") for name in (REPLAY_FOR, REPLAY_OF)
    )
    topic = STAGES.get(stage)
    if topic is None or not origin:
        detail = f"a replay of {origin[:64]!r} for the stage {stage[:64]!r}"
        batch.reject(record, DeadLetterReason.BAD_HEADERS, detail)
        return False
    src = Source(batch.partition, position(epoch, record.offset), record.timestamp)
    if replays.is_repeat(stage, origin, src) or stage in SINK_STAGES:
        return False
    if stage == ROUTER:
        return True
    if named.get(EXCLUDED) is not None:
        return False
    headers = (*record.headers, *src.headers())
    batch.emit(topic.name, batch.partition, record.key, record.value, headers)
    return False
