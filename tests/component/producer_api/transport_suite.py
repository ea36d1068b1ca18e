"""What every connection to Kafka does: one suite, for the fake and for the real one."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from producer_api.app import Connection
from tests.component.producer_api.fake_kafka import Stored
from tests.fixtures.waiting import eventually_async

PARTITIONS = 3
TOO_MUCH = 1024 * 1024


class TransportSuite:
    """The contract; a subclass gives the fixtures `connection`, `topic` and `stored`."""

    @pytest.fixture
    async def opened(self, connection: Connection) -> list[int]:
        """Start the connection and wait until it has told the partitions."""
        told: list[int] = []
        connection.start(told.append)
        await eventually_async(lambda: told, within_seconds=20, what="partitions are told")
        await connection.ready()
        return told

    async def test_tells_the_number_of_partitions_once(self, opened: list[int]) -> None:
        """Keys can be placed as soon as the cluster is known."""
        assert opened == [PARTITIONS]

    @pytest.mark.usefixtures("opened")
    async def test_has_no_trouble_once_reached(self, connection: Connection) -> None:
        """Readiness follows from it."""
        await eventually_async(
            lambda: connection.problem is None, within_seconds=10, what="no problem"
        )

    @pytest.mark.usefixtures("opened")
    async def test_a_sent_batch_is_stored_in_order(
        self,
        connection: Connection,
        topic: str,
        stored: Callable[[], Awaitable[Sequence[Stored]]],
    ) -> None:
        """Keys, values and headers come through as they were."""
        batch = connection.create_batch()
        for value in (b"1", b"2"):
            batch.append(key=b"k", value=value, timestamp=None, headers=[("type", b"copy")])
        await connection.send_batch(batch, topic, 1)

        assert list(await stored()) == [
            Stored(1, b"k", b"1", [("type", b"copy")]),
            Stored(1, b"k", b"2", [("type", b"copy")]),
        ]

    @pytest.mark.usefixtures("opened")
    async def test_a_full_batch_takes_no_more(self, connection: Connection) -> None:
        """The accumulator begins another one then."""
        batch = connection.create_batch()
        large = bytes(TOO_MUCH // 2 + 1)
        first = batch.append(key=b"k", value=large, timestamp=None, headers=[])

        assert first is not None
        assert first.size > len(large)
        assert batch.append(key=b"k", value=large, timestamp=None, headers=[]) is None

    @pytest.mark.usefixtures("opened")
    async def test_an_empty_batch_takes_any_record(self, connection: Connection) -> None:
        """So no record that we make is too large for every batch."""
        batch = connection.create_batch()

        assert batch.append(key=b"k", value=bytes(TOO_MUCH), timestamp=None, headers=[])

    @pytest.mark.usefixtures("opened")
    async def test_a_batch_for_no_partition_raises(
        self, connection: Connection, topic: str
    ) -> None:
        """What is not stored is never taken for stored."""
        batch = connection.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[])

        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is
            await connection.send_batch(batch, topic, PARTITIONS)
