"""Tells who runs the sinks that they were away for longer than Kafka keeps deleted states."""

import logging
import time
from datetime import UTC, datetime

from schemas.topics import MIN_COMPACTION_LAG_MS
from streams.engine.batch import Batch

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000


class Absence:
    """Looks at the first batch of each partition of a compacted topic."""

    def __init__(self) -> None:
        self._looked_at: set[int] = set()

    def look(self, batch: Batch, next_offset: int) -> None:
        """Warn when compaction may have deleted what the batch, or one before it, should bring.

        It did when the batch does not begin at `next_offset`, where the sinks ended; it may have
        when the first record is as old as those that it no longer leaves alone.
        """
        if batch.partition in self._looked_at:
            return
        self._looked_at.add(batch.partition)
        first = batch.records[0]
        age_ms = time.time() * 1_000 - first.timestamp
        if first.offset > next_offset or age_ms > MIN_COMPACTION_LAG_MS:
            log.warning(
                "%s/%d: read up to offset %d; the next record is %d, of %s. Kafka keeps what was "
                "deleted for %.0f day, so rows may be missing: `headrace audit` names them, "
                "`headrace rebuild` mends it",
                batch.topic,
                batch.partition,
                next_offset,
                first.offset,
                datetime.fromtimestamp(first.timestamp / 1_000, UTC).isoformat(" ", "seconds"),
                MIN_COMPACTION_LAG_MS / _DAY_MS,
            )
