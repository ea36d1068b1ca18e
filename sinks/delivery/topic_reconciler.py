"""Reconciliation of tables with a compacted configuration topic, after partial writes.

The topic is written first and is authoritative.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from schemas.codec import CodecError, decode
from schemas.records import Record
from schemas.topics import Topic
from sinks.delivery.publisher import Unavailable
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS
from sinks.sql.types import now_utc

log = logging.getLogger(__name__)

#: Younger changes may still be written to SQL. Longer than the deadlines of the services.
GRACE_PERIOD = timedelta(seconds=60)
_INTERVAL_SECONDS = 30.0

R = TypeVar("R", bound=Record)


class TopicReconciler(ABC, Generic[R]):
    """Mirrors a topic into memory, and periodically compares the tables with it."""

    #: Set by each subclass: the topic, and the type of its records.
    topic: ClassVar[Topic]
    record_type: type[R]

    def __init__(
        self,
        database: Database,
        reader: Database,
        publish: Callable[[str, Any], Awaitable[None]],
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._database = database
        #: Comparing reads whole tables, without blocking writers.
        self._reader = reader
        self._publish = publish
        self._clock = clock
        #: By key; None for a tombstone.
        self._records: dict[str, R | None] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply the next record of the topic; skip and log records that cannot be decoded."""
        try:
            name = (key or b"").decode()
            self._records[name] = None if value is None else decode(value, self.record_type)
        except (CodecError, UnicodeError) as error:
            log.warning(
                "skipping an invalid record of the %s topic: %r: %s",
                *(self.topic.base_name, key, error),
            )

    async def run(self, complete: Callable[[], Awaitable[None]]) -> None:
        """Reconcile every 30 s until cancelled, after `complete` has read the topic to its end."""
        await complete()
        while True:
            try:
                await self.reconcile()
            except (Unavailable, *DATABASE_ERRORS) as error:
                log.warning(
                    "cannot reconcile %s: %s; retrying",
                    *(self.topic.base_name, type(error).__name__),
                )
            await asyncio.sleep(_INTERVAL_SECONDS)

    @abstractmethod
    async def reconcile(self) -> None:
        """Compare tables and topic once, and repair the differences."""

    def is_settled(self, changed: datetime) -> bool:
        """Return False if a change of this time may still be written to SQL or read from Kafka."""
        return self._clock() - changed > GRACE_PERIOD
