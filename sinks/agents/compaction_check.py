"""Detect that the sinks were down for longer than compaction keeps superseded records."""

import logging
import time
from datetime import UTC, datetime

from schemas.topics import MIN_COMPACTION_LAG_MS
from streams.engine.batch import Batch

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000


class CompactionCheck:
    """Checks the first batch of each partition of a compacted topic for missing records."""

    def __init__(self) -> None:
        self._checked: set[int] = set()

    def check(self, batch: Batch, next_offset: int) -> None:
        """Log a warning if compaction may have deleted records before they were stored.

        It has if the batch starts after `next_offset`, the partition's next offset in SQL. It may
        have if the first record is older than the minimum compaction lag.
        """
        if batch.partition in self._checked:
            return
        self._checked.add(batch.partition)
        first = batch.records[0]
        age_ms = time.time() * 1_000 - first.timestamp
        if first.offset > next_offset or age_ms > MIN_COMPACTION_LAG_MS:
            log.warning(
                "%s/%d: read up to offset %d; the next record is %d, written at %s. Kafka keeps "
                "deleted states for %.0f day, so rows may be missing: `headrace audit` lists them, "
                "`headrace rebuild` restores them",
                batch.topic,
                batch.partition,
                next_offset,
                first.offset,
                datetime.fromtimestamp(first.timestamp / 1_000, UTC).isoformat(" ", "seconds"),
                MIN_COMPACTION_LAG_MS / _DAY_MS,
            )
