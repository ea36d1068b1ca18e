"""The batch writer: stores each record of a partition exactly once (design D10).

Each batch is one transaction: lock the partition's row in `consumer_offsets`, drop the records
below its offset, write the rows, advance the offset. Records that are written again, in whatever
batches, change nothing, and zombie writers are fenced.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from schemas.metric_buckets import RESPONSE_SECONDS, Buckets
from sinks.sql import offsets, transaction
from sinks.sql.batch import RejectedRecord, SourcedRow
from sinks.sql.digests import DeliveryLimits
from sinks.sql.engine import Database, open_database
from sinks.sql.erasure import Erasure
from sinks.sql.errors import is_poison
from sinks.sql.offsets import SourcePartition
from sinks.sql.retries import Retrier
from sinks.sql.tables import ConsumerOffsetRow, table_of
from sinks.sql.transaction import Batch, PoisonFound

T = TypeVar("T")
Model = TypeVar("Model", bound=type[SQLModel])
OnRejected = Callable[[Sequence[RejectedRecord]], Awaitable[None]]


async def open_writer(
    url: str, *, app: str, cluster_id: str, epoch: int = 0, should_stop: Callable[[], bool]
) -> "Writer":
    """Return a writer once the database is available; raises `SchemaMissing`.

    `app`, `cluster_id` and `epoch` (of the Kafka cluster) are those of the rows in
    `consumer_offsets`. While the database is unavailable, all methods wait until `should_stop`
    returns True, and then raise `DatabaseUnavailable`.
    """
    database = open_database(url, use_row_types=True)
    writer = Writer(database, app, cluster_id, epoch, Retrier(should_stop))
    try:
        await writer.check_schema()
    except BaseException:
        await writer.close()
        raise
    return writer


class TransactionCounters:
    """The committed transactions of batches: their durations, and their rows by table."""

    def __init__(self) -> None:
        self.seconds = Buckets(RESPONSE_SECONDS)
        #: Includes rows that were stored before.
        self.rows: Counter[str] = Counter()

    def observe(self, batch: Batch, seconds: float) -> None:
        """Count the transaction of a batch."""
        self.seconds.observe(seconds)
        for table, rows in batch.rows:
            self.rows[table.name] += len(rows)


class Writer:
    """Writes batches of rows exactly once. Create it with `open_writer`; bound to an event loop."""

    def __init__(
        self, database: Database, app: str, cluster_id: str, epoch: int, retrier: Retrier
    ) -> None:
        #: Shared with the other writers of the process, whose transactions it queues.
        self.database = database
        #: Called after a batch has enqueued deliveries.
        self.on_enqueued: Callable[[], None] = lambda: None
        #: The rate limits of each subscription.
        self.limits = DeliveryLimits()
        self._app = app
        self._cluster_id = cluster_id
        #: The epoch of the Kafka cluster.
        self.epoch = epoch
        self._retrier = retrier
        self.counters = TransactionCounters()

    @property
    def problem(self) -> str | None:
        """The database error that the writer retries after; None if there is none."""
        return self._retrier.problem

    async def close(self) -> None:
        """Wait for running transactions and close all connections."""
        await self.database.close()

    async def check_schema(self) -> None:
        """Raise `SchemaMissing` if the migrations have not been run."""
        await self._run(lambda connection: connection.execute(select(ConsumerOffsetRow).limit(1)))

    async def check_cluster(self) -> None:
        """Raise `ClusterMismatch` if the database has events, but no offsets of these topics."""
        await self._run(lambda connection: offsets.check_cluster(connection, self._app))

    async def assign(self, topic: str, partition: int) -> int:
        """Return the next offset of a partition; inserts its row (with offset 0) if missing.

        Raises `ClusterMismatch` if the row is of another cluster. Check the result
        with `check_log_end`.
        """
        source = self._source(topic, partition)
        return await self._run(lambda connection: offsets.assign(connection, source))

    async def write(  # noqa: PLR0913 - the parts of one transaction
        self,
        topic: str,
        partition: int,
        next_offset: int,
        rows: Mapping[Model, Sequence[SourcedRow]],
        on_rejected: OnRejected,
        *,
        erasures: Sequence[Erasure] = (),
    ) -> None:
        """Write a batch and advance the partition to `next_offset`, in one transaction.

        `erasures` are applied before the rows, which must not contain any that they erase.

        `rows` are pairs `(offset, row)` for each table, in ascending order of offsets, all below
        `next_offset`. Records that the database rejects are passed to `on_rejected`, which must
        dead-letter them durably before it returns; then the other records are written. A record
        is rejected with all its rows. After a crash in between, records are dead-lettered again.

        Raises `NotAssigned`, `ClusterMismatch` and the errors of `on_rejected`.
        """
        by_table = [(table_of(model), part) for model, part in rows.items()]
        batch = Batch(self._source(topic, partition), next_offset, by_table, self.limits, erasures)
        excluded: set[int] = set()
        while rejected := await self._try_write(batch, excluded):
            await on_rejected(rejected)
            excluded.update(record.offset for record in rejected)

    async def _try_write(self, batch: Batch, excluded: Collection[int]) -> list[RejectedRecord]:
        """Write the batch and return []; or write nothing and return the rejected records."""
        work = partial(transaction.write, batch=batch, excluded=excluded)

        async def attempt() -> int:
            started_at = time.perf_counter()
            enqueued = await self.database.run(work)
            self.counters.observe(batch, time.perf_counter() - started_at)
            return enqueued

        try:
            enqueued = await self._retrier.run(attempt)
        except PoisonFound as poison:
            return poison.rejected
        except Exception as error:
            if not is_poison(error):
                raise
            try:
                await self._run(partial(transaction.find_poison, batch=batch, excluded=excluded))
            except PoisonFound as poison:
                if poison.rejected:
                    return poison.rejected
            raise  # no single row is rejected, so the rows are not the cause
        if enqueued:
            self.on_enqueued()
        return []

    def _source(self, topic: str, partition: int) -> SourcePartition:
        return SourcePartition(self._app, self._cluster_id, self.epoch, topic, partition)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        return await self._retrier.run(lambda: self.database.run(work))
