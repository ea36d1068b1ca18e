"""The batch writer: each batch of one partition lands in SQL exactly once (design D10).

One transaction for each batch: the partition's row in `consumer_offsets` is locked, records
below it are dropped, rows are written, the row moves on. So a batch that is sent again, whole,
in part or cut otherwise, changes nothing, and a writer that was frozen while another took its
partition over does no harm.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from sinks.sql import offsets, transaction
from sinks.sql.batch import Refused, SourcedRow
from sinks.sql.digests import Budget
from sinks.sql.engine import Database, open_database
from sinks.sql.errors import is_poison
from sinks.sql.offsets import Place
from sinks.sql.patience import Patience
from sinks.sql.tables import ConsumerOffsetRow, table_of
from sinks.sql.transaction import Batch, PoisonFound

T = TypeVar("T")
Model = TypeVar("Model", bound=type[SQLModel])
OnRefused = Callable[[Sequence[Refused]], Awaitable[None]]


async def open_writer(
    url: str, *, app: str, cluster_id: str, epoch: int = 0, should_stop: Callable[[], bool]
) -> "Writer":
    """Return a writer once the database is reached; `SchemaMissing` when it is not migrated.

    `app` names the rows of `consumer_offsets`, `cluster_id` is Kafka's, with its `epoch`. While
    the database is away all methods wait, until `should_stop` is true; then they raise
    `DatabaseUnavailable`.
    """
    database = open_database(url, takes_batches=True)
    writer = Writer(database, app, cluster_id, epoch, Patience(should_stop))
    try:
        await writer.check_schema()
    except BaseException:
        await writer.close()
        raise
    return writer


class Writer:
    """Writes batches of rows, each once; made by `open_writer`, for one event loop."""

    def __init__(
        self, database: Database, app: str, cluster_id: str, epoch: int, patience: Patience
    ) -> None:
        #: For what else the process writes, so that it waits its turn among the batches.
        self.database = database
        #: Called when a batch had deliveries.
        self.on_enqueued: Callable[[], None] = lambda: None
        #: What a subscription is sent at most.
        self.budget = Budget()
        self._app = app
        self._cluster_id = cluster_id
        #: Of the cluster: a part of each position.
        self.epoch = epoch
        self._patience = patience

    @property
    def trouble(self) -> str | None:
        """The sentence about what the writer is waiting for; None while all is well."""
        return self._patience.trouble

    async def close(self) -> None:
        """Wait for work under way and close all connections."""
        await self.database.close()

    async def check_schema(self) -> None:
        """Raise `SchemaMissing` when the migrations have not run."""
        await self._run(lambda connection: connection.execute(select(ConsumerOffsetRow).limit(1)))

    async def check_cluster(self) -> None:
        """Raise `ClusterMismatch` when the database holds events, but not up to which offsets."""
        await self._run(lambda connection: offsets.check_known(connection, self._app))

    async def assign(self, topic: str, partition: int) -> int:
        """Return where the partition goes on, making its row (at 0) when it is not there.

        Raises `ClusterMismatch` when the row is of another cluster. `check_log_end` compares
        the answer with the log.
        """
        place = self._place(topic, partition)
        return await self._run(lambda connection: offsets.assign(connection, place))

    async def write(
        self,
        topic: str,
        partition: int,
        next_offset: int,
        rows: Mapping[Model, Sequence[SourcedRow]],
        on_refused: OnRefused,
    ) -> None:
        """Write a batch and move the partition to `next_offset`, in one transaction.

        `rows` are, for each table, `(offset, row)` in ascending order of offsets; every record
        of the batch is below `next_offset`. Records that the database refuses are given to
        `on_refused`, which must have sent them away safely when it returns: only then is the
        rest written and the partition moved. A crash in between sends them a second time. A
        record is refused whole, with all its rows.

        Raises `NotAssigned`, `ClusterMismatch`, and what `on_refused` raises.
        """
        by_table = [(table_of(model), part) for model, part in rows.items()]
        batch = Batch(self._place(topic, partition), next_offset, by_table, self.budget)
        without: set[int] = set()
        while refused := await self._refused(batch, without):
            await on_refused(refused)
            without.update(record.offset for record in refused)

    async def _refused(self, batch: Batch, without: Collection[int]) -> list[Refused]:
        """Write the batch, or return the records that stand in the way."""
        try:
            enqueued = await self._run(partial(transaction.write, batch=batch, without=without))
        except PoisonFound as poison:
            return poison.refused
        except Exception as error:
            if not is_poison(error):
                raise
            try:
                await self._run(partial(transaction.find_poison, batch=batch, without=without))
            except PoisonFound as poison:
                if poison.refused:
                    return poison.refused
            raise  # refused as a whole, but no row of it alone: not a matter of the rows
        if enqueued:
            self.on_enqueued()
        return []

    def _place(self, topic: str, partition: int) -> Place:
        return Place(self._app, self._cluster_id, self.epoch, topic, partition)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        return await self._patience.run(lambda: self.database.run(work))
