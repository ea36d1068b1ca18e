"""Slow clients of streams, with a virtual clock that advances when the event loop is idle."""

import asyncio
import selectors
from collections.abc import Awaitable
from typing import Any, TypeVar

from query_api import sse

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Does not wait, but adds up the timeouts."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready keys at once."""
        self.jumped += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping_selector = _JumpingSelector()
        super().__init__(self._jumping_selector)

    def time(self) -> float:
        """Return the virtual time."""
        return self._jumping_selector.jumped


class Ticker:
    """A source with a new message every `every` seconds of virtual time."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._sent_at = 0.0

    async def next_messages(self) -> bytes:
        """Return a message if it is due."""
        now = asyncio.get_running_loop().time()
        if now - self._sent_at < self._every:
            return b""
        self._sent_at = now
        return b"event: tick\ndata: 1\n\n"


class Client:
    """Reads messages for `stuck_after` seconds, then hangs."""

    def __init__(self, stuck_after: float = float("inf")) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.disconnected = asyncio.Event()
        self._stuck_after = stuck_after

    async def send(self, message: Any) -> None:
        """Read a message, or hang."""
        now = asyncio.get_running_loop().time()
        if now >= self._stuck_after:
            await asyncio.Event().wait()
        self.sent.append((now, message.get("body", b"")))

    async def receive(self) -> Any:
        """Wait until the connection is closed."""
        await self.disconnected.wait()
        return {"type": "http.disconnect"}


async def _is_authorized() -> bool:
    return True


async def _serve(client: Client, every: float, seconds: float) -> bool:
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stopping.set)
    return await sse.serve(
        Ticker(every).next_messages, _is_authorized, client.receive, client.send, stopping
    )


def _run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main())


def test_a_heartbeat_is_sent_after_fifteen_seconds_without_a_message() -> None:
    """As a comment, which clients ignore."""

    async def main() -> Client:
        client = Client()
        assert await _serve(client, every=3_600, seconds=61)
        return client

    beats = [at for at, body in _run(main()).sent if body == b": \n\n"]

    assert [round(at) for at in beats] == [15, 30, 45, 60]


def test_no_heartbeat_is_sent_between_messages() -> None:
    """And at most two messages per second."""

    async def main() -> Client:
        client = Client()
        await _serve(client, every=0.0, seconds=60)
        return client

    sent = [body for _, body in _run(main()).sent]

    assert b": \n\n" not in sent
    assert len([body for body in sent if body]) <= 121


def test_a_client_that_does_not_read_is_dropped() -> None:
    """Another one misses no message."""

    async def main() -> tuple[bool, float, Client]:
        (slow, good) = (Client(stuck_after=5), Client())
        slow_one = asyncio.ensure_future(_serve(slow, every=1, seconds=600))
        good_one = asyncio.ensure_future(_serve(good, every=1, seconds=120))
        kept = await slow_one
        dropped_at = asyncio.get_running_loop().time()
        await good_one
        return kept, dropped_at, good

    (kept, dropped_at, good) = _run(main())

    assert not kept
    assert dropped_at <= 60
    assert len([body for _, body in good.sent if b"tick" in body]) >= 119


def test_a_disconnect_is_noticed_at_once() -> None:
    """Before the next message."""

    async def main() -> float:
        client = Client()
        asyncio.get_running_loop().call_later(7, client.disconnected.set)
        await _serve(client, every=3_600, seconds=600)
        return asyncio.get_running_loop().time()

    assert _run(main()) <= 8
