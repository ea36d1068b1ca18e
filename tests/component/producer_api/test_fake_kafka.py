from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.component.producer_api.fake_kafka import FakeKafka, Stored
from tests.component.producer_api.transport_suite import PARTITIONS, TransportSuite


class TestFakeKafka(TransportSuite):
    """The fake satisfies the same contract as the real producer."""

    @pytest.fixture
    async def connection(self) -> FakeKafka:
        """Return a fake with the suite's number of partitions."""
        return FakeKafka(PARTITIONS)

    @pytest.fixture
    def topic(self) -> str:
        """Return any name: the fake has one topic."""
        return "events"

    @pytest.fixture
    def stored(self, connection: FakeKafka) -> Callable[[], Awaitable[Sequence[Stored]]]:
        """Return a function that reads the topic."""

        async def read() -> Sequence[Stored]:
            return connection.stored

        return read
