from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.component.producer_api.fake_kafka import FakeKafka, Stored
from tests.component.producer_api.transport_suite import PARTITIONS, TransportSuite


class TestFakeKafka(TransportSuite):
    """The fake keeps the contract that the real connection keeps."""

    @pytest.fixture
    async def connection(self) -> FakeKafka:
        """Give a fake with the suite's partitions."""
        return FakeKafka(PARTITIONS)

    @pytest.fixture
    def topic(self) -> str:
        """Give a name; the fake has one topic."""
        return "events"

    @pytest.fixture
    def stored(self, connection: FakeKafka) -> Callable[[], Awaitable[Sequence[Stored]]]:
        """Give what reads the topic."""

        async def read() -> Sequence[Stored]:
            return connection.stored

        return read
