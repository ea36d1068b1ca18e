"""Dead letters that come again through `events-raw`: each to the one stage that it is for."""

from collections.abc import Iterator

from schemas.headers import REPLAY_FOR, REPLAY_OF, SOURCE, Headers, Source, find
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import ROUTER, SINK_STAGES, STAGES
from streams.domain.replays import ReplayBook
from streams.engine.batch import Batch, InRecord


def is_replay(record: InRecord) -> bool:
    """Tell whether a record is a dead letter that was replayed for one stage."""
    return find(record.headers, REPLAY_FOR) is not None


def to_route(batch: Batch, book: ReplayBook) -> Iterator[tuple[InRecord, Headers]]:
    """Yield the records that are to be routed, with their headers; pass on replays for others.

    A replay for the router was never routed: it is yielded as new.
    """
    for record in batch.records:
        if not is_replay(record):
            yield record, record.headers
        elif _pass_on(batch, record, book):
            own = [pair for pair in record.headers if pair[0] not in (REPLAY_FOR, REPLAY_OF)]
            yield record, own
    book.end_batch(batch.records[-1].timestamp)


def _pass_on(batch: Batch, record: InRecord, book: ReplayBook) -> bool:
    """Send a replay to its stage's topic, once; True when that is the router, which routes it.

    Sinks take theirs from `events-raw` themselves.
    """
    stage, origin = (
        (find(record.headers, name) or b"").decode("utf-8", "replace")
        for name in (REPLAY_FOR, REPLAY_OF)
    )
    topic = STAGES.get(stage)
    if topic is None or not origin:
        detail = f"a replay of {origin[:64]!r} for the stage {stage[:64]!r}"
        batch.refuse(record, DeadLetterReason.BAD_HEADERS, detail)
        return False
    src = Source(batch.partition, record.offset, record.timestamp)
    if book.is_repeat(stage, origin, src) or stage in SINK_STAGES:
        return False
    if stage == ROUTER:
        return True
    headers = (*record.headers, (SOURCE, src.pack()))
    batch.emit(topic.name, batch.partition, record.key, record.value, headers)
    return False
