"""Batches: the input of an agent, and the outputs and dead letters that result from it."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from schemas.headers import (
    DLQ_AT,
    DLQ_DETAIL,
    DLQ_OFFSET,
    DLQ_PARTITION,
    DLQ_REASON,
    DLQ_STAGE,
    DLQ_TOPIC,
    Headers,
    trace_id_of,
)
from schemas.reject_reasons import DeadLetterReason
from streams.engine.producer import OutRecord, out_record

log = logging.getLogger(__name__)

_MAX_DETAIL_CHARACTERS = 500


class InRecord(Protocol):
    """A fetched record; its topic and partition are those of its batch."""

    @property
    def offset(self) -> int:
        """The offset in the partition."""

    @property
    def timestamp(self) -> int:
        """The log append time (ms, UTC)."""

    @property
    def key(self) -> Any:
        """The key (bytes); None for punctuation, or a record that headrace did not write."""

    @property
    def value(self) -> bytes | None:
        """The value; None for a tombstone or punctuation."""

    @property
    def headers(self) -> Headers:
        """The headers, as pairs of name and value."""


class Batch:
    """The records of one partition in one fetch, and the outputs that result from them.

    An agent reads `records`, and calls `emit` for outputs and `reject` for records that cannot be
    processed; the worker sends both when the agent returns (design D4).
    """

    def __init__(self, stage: str, topic: str, partition: int, records: Sequence[InRecord]) -> None:
        self.stage = stage
        self.topic = topic
        self.partition = partition
        self.records = records
        self.outputs: defaultdict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        self.dead_letters: list[OutRecord] = []
        #: The reason of the last dead letter.
        self.last_reason = ""
        #: The offsets of rejected records, for the circuit breaker.
        self.dead_letter_offsets: set[int] = set()
        #: The number of states that the agent evicted.
        self.evicted = 0

    @property
    def place(self) -> dict[str, str | int]:
        """The topic, partition and first offset, for log entries."""
        first = self.records[0].offset
        return {"topic": self.topic, "partition": self.partition, "offset": first}

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.records[-1].offset

    def emit(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Add an output."""
        self.outputs[topic, partition].append(out_record((key, value, headers)))

    def reject(self, record: InRecord, reason: DeadLetterReason, detail: str) -> None:
        """Dead-letter a record unchanged, with reason, origin and time (ms, UTC) in headers."""
        context = {
            DLQ_REASON: reason.value,
            DLQ_DETAIL: detail[:_MAX_DETAIL_CHARACTERS],
            DLQ_STAGE: self.stage,
            DLQ_TOPIC: self.topic,
            DLQ_PARTITION: str(self.partition),
            DLQ_OFFSET: str(record.offset),
            DLQ_AT: str(int(time.time() * 1_000)),
        }
        headers = (*record.headers, *((name, text.encode()) for name, text in context.items()))
        self.dead_letters.append(OutRecord(record.key, record.value, headers))
        self.dead_letter_offsets.add(record.offset)
        self.last_reason = reason.value

    def rejecting(self, record: InRecord) -> "_Rejecting":
        """Return a context that dead-letters the record if its body raises an error."""
        return _Rejecting(self, record)

    def reject_poison(self, record: InRecord, error: Exception) -> None:
        """Dead-letter a record on which the agent failed, and log the error with its offset."""
        log.error(
            "%s failed on %s",
            self.stage,
            self._position(record),
            exc_info=error,
            extra={"offset": record.offset, "trace_id": trace_id_of(record.headers)},
        )
        self.reject(record, DeadLetterReason.RULE_FAILED, repr(error))

    def _position(self, record: InRecord) -> str:
        return f"{self.topic}/{self.partition} at offset {record.offset}"

    def consecutive_dead_letters(self, before: int) -> Iterator[int]:
        """Yield the number of consecutive dead letters after each record, from `before` on.

        Yields 0 once if no record was rejected.
        """
        if not self.dead_letter_offsets:
            yield 0
            return
        run = before
        for record in self.records:
            run = run + 1 if record.offset in self.dead_letter_offsets else 0
            yield run


class _Rejecting:
    """The context of `rejecting`; a generator would cost a microsecond per event."""

    __slots__ = ("_batch", "_record")

    def __init__(self, batch: Batch, record: InRecord) -> None:
        self._batch = batch
        self._record = record

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._batch.reject_poison(self._record, error)
        return True
