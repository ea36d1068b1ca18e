"""Where a worker asks for offsets."""

from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from streams.engine.consumer import ask_offsets_aside


class _Client:
    """Notes which connection each request takes."""

    def __init__(self) -> None:
        self.taken: list[object] = []

    async def send(
        self, node_id: int, _: object, *, group: object = ConnectionGroup.DEFAULT
    ) -> int:
        """Take a request."""
        self.taken.append(group)
        return node_id


async def test_offsets_are_asked_for_on_another_connection_than_what_is_fetched() -> None:
    """A fetch that finds nothing keeps its own busy; all other requests stay where they were."""
    client: Any = _Client()
    ask_offsets_aside(client)
    answers = [
        await client.send(1, OffsetRequest(-1, 0, [])),
        await client.send(2, FetchRequest(1, 1, 1, 0, [])),
        await client.send(3, "a heartbeat", group=ConnectionGroup.COORDINATION),
    ]

    (offsets, fetched, coordination) = client.taken
    assert answers == [1, 2, 3]
    assert (fetched, coordination) == (ConnectionGroup.DEFAULT, ConnectionGroup.COORDINATION)
    assert offsets not in {fetched, coordination}
