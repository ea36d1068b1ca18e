import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from streams.engine.lanes import Lanes

Work = Callable[[], Coroutine[Any, Any, None]]


class Yard:
    """Work that begins, waits to be let go, and ends; what happened is noted."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def work(self, name: str) -> Work:
        """Return work of a name."""
        self._gates[name] = asyncio.Event()
        return partial(self._run, name)

    def let_go(self, *names: str) -> None:
        """Have work end."""
        for name in names:
            self._gates[name].set()

    async def until(self, *seen: str) -> None:
        """Wait until exactly this was seen, and nothing more for some turns of the loop."""
        async with asyncio.timeout(10):
            while self.seen[: len(seen)] != list(seen):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert self.seen == list(seen)

    async def _run(self, name: str) -> None:
        self.seen.append(f"{name} begins")
        await self._gates[name].wait()
        self.seen.append(f"{name} ends")


async def test_of_one_partition_nothing_begins_before_the_last_is_done() -> None:
    """Whatever other partitions do."""
    yard = Yard()
    first, second = yard.work("first"), yard.work("second")

    async with Lanes() as lanes:
        await lanes.begin(0, first)
        waiting = asyncio.create_task(lanes.begin(0, second))
        await yard.until("first begins")
        yard.let_go("first")
        await waiting
        await yard.until("first begins", "first ends", "second begins")
        yard.let_go("second")

    assert yard.seen[-1] == "second ends"


async def test_partitions_are_worked_on_side_by_side_up_to_a_bound() -> None:
    """The next begins when any is done, and leaving waits for all."""
    yard = Yard()
    names = ("a", "b", "c")
    work = [yard.work(name) for name in names]

    async with Lanes(most=2) as lanes:
        await lanes.begin(0, work[0])
        await lanes.begin(1, work[1])
        waiting = asyncio.create_task(lanes.begin(2, work[2]))
        await yard.until("a begins", "b begins")
        yard.let_go("b")
        await waiting
        await yard.until("a begins", "b begins", "b ends", "c begins")
        yard.let_go("a", "c")

    assert sorted(yard.seen[-2:]) == ["a ends", "c ends"]


async def test_an_error_ends_what_is_under_way_and_is_raised_by_itself() -> None:
    """As if there had been one lane: Faust ends the worker with it."""
    yard = Yard()
    other = yard.work("other")

    async def fail() -> None:
        raise LookupError("no such thing")

    async def never_ending() -> None:
        async with Lanes() as lanes:
            await lanes.begin(0, other)
            await lanes.begin(1, fail)
            await asyncio.Event().wait()  # for a next fetch that does not come

    with pytest.raises(LookupError, match="no such thing"):
        await asyncio.wait_for(never_ending(), 10)

    assert yard.seen == ["other begins"]


async def test_a_stop_ends_what_is_under_way() -> None:
    """Faust cancels the agent: its work must not go on without it."""
    yard = Yard()
    work = yard.work("a")

    async def reading() -> None:
        async with Lanes() as lanes:
            await lanes.begin(0, work)
            await asyncio.Event().wait()

    task = asyncio.create_task(reading())
    await yard.until("a begins")
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert yard.seen == ["a begins"]
