"""What an agent is given, a batch, and what it may do with it."""

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
)
from schemas.reject_reasons import DeadLetterReason
from streams.engine.producer import OutRecord

log = logging.getLogger(__name__)

_MAX_DETAIL_CHARACTERS = 500


class InRecord(Protocol):
    """A record as it was fetched; its topic and partition are the batch's."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When the broker took it (ms, UTC)."""

    @property
    def key(self) -> Any:
        """Its key; None: a tick, or of a stranger. Agents know before they read it as bytes."""

    @property
    def value(self) -> bytes | None:
        """Its value; None: a tombstone, or a tick."""

    @property
    def headers(self) -> Headers:
        """Names and values."""


class Batch:
    """All records that one fetch brought for one partition, and the outputs they lead to.

    An agent reads `records`, calls `emit` for outputs and `refuse` for records that cannot be
    processed; the worker sends what was collected when the agent returns (design D4).
    """

    def __init__(self, stage: str, topic: str, partition: int, records: Sequence[InRecord]) -> None:
        self.stage = stage
        self.topic = topic
        self.partition = partition
        self.records = records
        self.outputs: defaultdict[tuple[str, int], list[OutRecord]] = defaultdict(list)
        self.refused: list[OutRecord] = []
        #: Why a record was refused last.
        self.last_reason = ""
        #: Offsets of the refused records, for the brake.
        self.refused_offsets: set[int] = set()
        #: States that the agent deleted before their time, for there is no room for more.
        self.left_early = 0

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
        # Not `OutRecord(...)`, which takes twice as long; it has just these fields.
        record = tuple.__new__(OutRecord, (key, value, headers))
        self.outputs[topic, partition].append(record)

    def refuse(self, record: InRecord, reason: DeadLetterReason, detail: str) -> None:
        """Dead-letter a record: its bytes as they came, with why, where and when (ms, UTC)."""
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
        self.refused.append(OutRecord(record.key, record.value, headers))
        self.refused_offsets.add(record.offset)
        self.last_reason = reason.value

    def refusing(self, record: InRecord) -> "_Refusing":
        """Dead-letter the record when what is done with it raises an error: it is poison."""
        return _Refusing(self, record)

    def refuse_poison(self, record: InRecord, error: Exception) -> None:
        """Dead-letter a record on which the agent failed, and log where."""
        log.error("%s failed on %s", self.stage, self._place(record), exc_info=error)
        self.refuse(record, DeadLetterReason.RULE_FAILED, repr(error))

    def _place(self, record: InRecord) -> str:
        return f"{self.topic}/{self.partition} at offset {record.offset}"

    def bad_in_a_row(self, before: int) -> Iterator[int]:
        """Yield, after each record, how many in a row were refused, counting on from `before`.

        Where none was, it yields zero once.
        """
        if not self.refused_offsets:
            yield 0
            return
        run = before
        for record in self.records:
            run = run + 1 if record.offset in self.refused_offsets else 0
            yield run


class _Refusing:
    """What `refusing` returns: a class, for a generator costs a microsecond an event."""

    __slots__ = ("_batch", "_record")

    def __init__(self, batch: Batch, record: InRecord) -> None:
        self._batch = batch
        self._record = record

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._batch.refuse_poison(self._record, error)
        return True
