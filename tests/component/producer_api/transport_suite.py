"""The contract tests of connections to Kafka, for the fake and the real producer."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from producer_api.http.app import Connection
from tests.component.producer_api.fake_kafka import Stored
from tests.fixtures.waiting import eventually_async

PARTITIONS = 3
TOO_MUCH = 1024 * 1024


class TransportSuite:
    """The contract; subclasses define the fixtures `connection`, `topic` and `stored`."""

    @pytest.fixture
    async def opened(self, connection: Connection) -> list[int]:
        """Start the connection; return the arguments of all calls of `on_open`."""
        calls: list[int] = []
        connection.start(calls.append)
        await eventually_async(lambda: calls, within_seconds=20, what="`on_open` is called")
        await connection.ready()
        return calls

    async def test_reports_the_number_of_partitions_once(self, opened: list[int]) -> None:
        """`on_open` is called when the cluster metadata is available."""
        assert opened == [PARTITIONS]

    @pytest.mark.usefixtures("opened")
    async def test_has_no_problem_once_connected(self, connection: Connection) -> None:
        """`/readyz` depends on it."""
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
        """Keys, values and headers are unchanged."""
        batch = connection.create_batch()
        for value in (b"1", b"2"):
            batch.append(key=b"k", value=value, timestamp=None, headers=[("type", b"copy")])
        await connection.send_batch(batch, topic, 1)

        assert list(await stored()) == [
            Stored(1, b"k", b"1", [("type", b"copy")]),
            Stored(1, b"k", b"2", [("type", b"copy")]),
        ]

    @pytest.mark.usefixtures("opened")
    async def test_a_full_batch_rejects_records(self, connection: Connection) -> None:
        """The accumulator then starts another batch."""
        batch = connection.create_batch()
        large = bytes(TOO_MUCH // 2 + 1)
        first = batch.append(key=b"k", value=large, timestamp=None, headers=[])

        assert first is not None
        assert first.size > len(large)
        assert batch.append(key=b"k", value=large, timestamp=None, headers=[]) is None

    @pytest.mark.usefixtures("opened")
    async def test_an_empty_batch_accepts_any_record(self, connection: Connection) -> None:
        """No record is too large for every batch."""
        batch = connection.create_batch()

        assert batch.append(key=b"k", value=bytes(TOO_MUCH), timestamp=None, headers=[])

    @pytest.mark.usefixtures("opened")
    async def test_sending_to_a_missing_partition_raises(
        self, connection: Connection, topic: str
    ) -> None:
        """A batch that is not stored is never reported as stored."""
        batch = connection.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[])

        with pytest.raises(Exception):  # noqa: B017, PT011 - any exception
            await connection.send_batch(batch, topic, PARTITIONS)
