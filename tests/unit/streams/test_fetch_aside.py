"""Which connection a worker fetches on."""

import asyncio
from typing import Any

import pytest
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from streams.engine.consumer_thread import fetch_aside

_FETCH = FetchRequest(1, 1, 1, 0, [])


class _Connection:
    """Notes that it was closed."""

    is_closed = False

    def close(self) -> None:
        """Close it."""
        self.is_closed = True


class _Client:
    """Notes which connection each request takes; one whose answer is held is never answered."""

    def __init__(self, *, holds: bool = False) -> None:
        self._conns: dict[tuple[int, object], _Connection] = {}
        self._holds = holds

    async def send(
        self, node_id: int, _: object, *, group: object = ConnectionGroup.DEFAULT
    ) -> int:
        """Take a request."""
        self._conns.setdefault((node_id, group), _Connection())
        if self._holds:
            await asyncio.Event().wait()
        return node_id

    def connections(self, node_id: int) -> dict[object, _Connection]:
        """Return those to a node."""
        return {group: one for (node, group), one in self._conns.items() if node == node_id}


async def test_what_is_fetched_has_a_connection_that_nothing_else_uses() -> None:
    """A fetch that finds nothing keeps it busy for seconds; all other requests stay apart."""
    client: Any = _Client()
    fetch_aside(client)
    answers = [
        await client.send(1, OffsetRequest(-1, 0, [])),
        await client.send(2, _FETCH),
        await client.send(3, "a heartbeat", group=ConnectionGroup.COORDINATION),
    ]

    assert answers == [1, 2, 3]
    assert set(client.connections(1)) == {ConnectionGroup.DEFAULT}
    assert set(client.connections(3)) == {ConnectionGroup.COORDINATION}
    assert not set(client.connections(2)) & set(ConnectionGroup)


async def test_a_fetch_whose_answer_nobody_wants_takes_its_connection_with_it() -> None:
    """The next one, after a rebalance, would wait until the broker has answered it."""
    client: Any = _Client(holds=True)
    fetch_aside(client)
    fetch = asyncio.create_task(client.send(1, _FETCH))
    await asyncio.sleep(0)
    (connection,) = client.connections(1).values()
    assert not connection.is_closed

    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch

    assert connection.is_closed
