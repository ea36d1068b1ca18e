"""Time here is virtual: it stands while something can be done and jumps when nothing can."""

import asyncio
import selectors
from collections.abc import Awaitable
from typing import Any, TypeVar

from sinks.query import sse

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits no time, and says how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready."""
        self.jumped += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._selector_of_ours = _JumpingSelector()
        super().__init__(self._selector_of_ours)

    def time(self) -> float:
        """Return the virtual time."""
        return self._selector_of_ours.jumped


class Ticker:
    """A source with something new every `every` seconds of virtual time."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._told = 0.0

    async def news(self) -> bytes:
        """Return a message when it is time."""
        now = asyncio.get_running_loop().time()
        if now - self._told < self._every:
            return b""
        self._told = now
        return b"event: tick\ndata: 1\n\n"


class Client:
    """Takes what it is sent until `stuck_after` seconds; then nothing."""

    def __init__(self, stuck_after: float = float("inf")) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.cut = asyncio.Event()
        self._stuck_after = stuck_after

    async def send(self, message: Any) -> None:
        """Take a message, or wait for ever."""
        now = asyncio.get_running_loop().time()
        if now >= self._stuck_after:
            await asyncio.Event().wait()
        self.sent.append((now, message.get("body", b"")))

    async def receive(self) -> Any:
        """Return when the connection is cut."""
        await self.cut.wait()
        return {"type": "http.disconnect"}


async def _may() -> bool:
    return True


async def _serve(client: Client, every: float, seconds: float) -> bool:
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stopping.set)
    return await sse.serve(Ticker(every).news, _may, client.receive, client.send, stopping)


def _run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main())


def test_a_client_hears_a_heartbeat_every_fifteen_seconds_of_silence() -> None:
    """A comment, which no reader of events sees."""

    async def main() -> Client:
        client = Client()
        assert await _serve(client, every=3_600, seconds=61)
        return client

    beats = [at for at, body in _run(main()).sent if body == b": \n\n"]

    assert [round(at) for at in beats] == [15, 30, 45, 60]


def test_there_is_no_heartbeat_where_there_is_newest() -> None:
    """And at most two messages a second."""

    async def main() -> Client:
        client = Client()
        await _serve(client, every=0.0, seconds=60)
        return client

    sent = [body for _, body in _run(main()).sent]

    assert b": \n\n" not in sent
    assert len([body for body in sent if body]) <= 121


def test_a_client_that_takes_nothing_is_dropped_and_nobody_waits_for_it() -> None:
    """The other one misses nothing."""

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


def test_a_client_that_goes_is_noticed_at_once() -> None:
    """Not at the next message."""

    async def main() -> float:
        client = Client()
        asyncio.get_running_loop().call_later(7, client.cut.set)
        await _serve(client, every=3_600, seconds=600)
        return asyncio.get_running_loop().time()

    assert _run(main()) <= 8
