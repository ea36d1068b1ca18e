"""The wait of a worker's thread for records."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.engine.consumer_thread import ConsumerThread

_PLACE = TP("t", 0)
_HOUR_SECONDS = 3600


class _Fetcher:
    """What aiokafka has fetched, and who waits for more."""

    _closed = False
    _subscriptions = SimpleNamespace(fetch_context=nullcontext)

    def __init__(self) -> None:
        self.records: dict[TP, list[str]] = {}
        self.waiter: asyncio.Future[None] | None = None

    async def fetched_records(
        self,
        partitions: set[TP],
        timeout: float,  # noqa: ASYNC109 - the name is aiokafka's
        max_records: int | None,  # noqa: ARG002
    ) -> Mapping[TP, list[str]]:
        """Take what there is; the wait is not its own."""
        assert not timeout
        return {tp: self.records.pop(tp) for tp in partitions & set(self.records)}

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        self.waiter = asyncio.get_running_loop().create_future()
        return self.waiter


class _Thread(ConsumerThread):
    """A thread that is not started: its calls are made in the test's own loop."""

    def __init__(self) -> None:
        self.fetcher = _Fetcher()
        self.consumer = SimpleNamespace(flow_active=True)
        self.thread_loop = asyncio.get_running_loop()
        self._waiting = set()

    def ask(self, timeout: float) -> asyncio.Future[Any]:
        """Ask for records of the one partition."""
        consumer = SimpleNamespace(_fetcher=self.fetcher, _closed=False)
        return asyncio.ensure_future(self._fetch_records(consumer, {_PLACE}, timeout, 100))

    async def is_waiting(self) -> asyncio.Future[None]:
        """Return what is waited for, as soon as it is."""
        while self.fetcher.waiter is None:  # noqa: ASYNC110 - two turns of the loop
            await asyncio.sleep(0)
        return self.fetcher.waiter


async def test_what_is_there_is_returned_at_once() -> None:
    """Nothing waits."""
    thread = _Thread()
    thread.fetcher.records[_PLACE] = ["a"]

    assert await thread.ask(_HOUR_SECONDS) == {_PLACE: ["a"]}
    assert thread.fetcher.waiter is None


async def test_what_comes_ends_the_wait() -> None:
    """As soon as aiokafka has it."""
    thread = _Thread()
    asked = thread.ask(_HOUR_SECONDS)
    waiter = await thread.is_waiting()

    thread.fetcher.records[_PLACE] = ["a"]
    waiter.set_result(None)

    assert await asyncio.wait_for(asked, 30) == {_PLACE: ["a"]}


async def test_another_thread_can_end_the_wait() -> None:
    """What was fetched meanwhile, of partitions that are wanted now, is returned."""
    thread = _Thread()
    asked = thread.ask(_HOUR_SECONDS)
    await thread.is_waiting()
    thread.fetcher.records[_PLACE] = ["a"]

    await asyncio.to_thread(thread.end_wait)

    assert await asyncio.wait_for(asked, 30) == {_PLACE: ["a"]}
    thread.end_wait()  # when nobody waits nothing happens


async def test_what_comes_while_the_flow_is_stopped_is_left_where_it_is() -> None:
    """It is of before a rebalance, and would be lost."""
    thread = _Thread()
    asked = thread.ask(_HOUR_SECONDS)
    waiter = await thread.is_waiting()

    thread.consumer.flow_active = False
    thread.fetcher.records[_PLACE] = ["a"]
    waiter.set_result(None)

    assert await asyncio.wait_for(asked, 30) == {}
    assert thread.fetcher.records == {_PLACE: ["a"]}


async def test_a_wait_ends_in_time() -> None:
    """And leaves nothing behind for aiokafka to wake."""
    thread = _Thread()

    assert await thread.ask(0.01) == {}
    assert thread.fetcher.waiter is not None
    assert thread.fetcher.waiter.cancelled()


async def test_what_the_group_refuses_is_raised() -> None:
    """It is told to whoever waits."""
    thread = _Thread()
    asked = thread.ask(_HOUR_SECONDS)
    (await thread.is_waiting()).set_exception(PermissionError("not of this group"))

    with pytest.raises(PermissionError):
        await asyncio.wait_for(asked, 30)
