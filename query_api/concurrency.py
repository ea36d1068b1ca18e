"""Concurrency limits of list requests, in total and per token."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection

from query_api.auth import Granted
from query_api.errors import ApiError, overloaded
from query_api.request_body import while_connected
from sinks.sql.reader import READERS

#: Lists that are read concurrently. One connection is reserved for the streams of alerts.
TOTAL = READERS - 1
#: Lists of one token that are read concurrently.
PER_TOKEN = 2
#: Lists of one token that are read or waiting for a slot.
PENDING_PER_TOKEN = 20
#: Timeout of waiting for a slot.
WAIT_SECONDS = 4.0


class ListSlots:
    """Limits concurrent lists. Waiting requests are served in order.

    A request over `PENDING_PER_TOKEN` gets 429, and one that waits longer than `WAIT_SECONDS` 503,
    both with Retry-After.
    """

    def __init__(self) -> None:
        self._total = asyncio.Semaphore(TOTAL)
        self._tokens: dict[str, asyncio.Semaphore] = {}
        self._pending: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, token_id: str) -> AsyncIterator[None]:
        """Wait for a slot and hold it. Raise `ApiError` over a limit."""
        if self._pending[token_id] >= PENDING_PER_TOKEN:
            sentence = (
                f"This token has {PENDING_PER_TOKEN} pending list requests; retry when they have "
                "finished"
            )
            raise ApiError("too_many_lists", sentence, retry_after="1")
        self._pending[token_id] += 1
        token_semaphore = self._tokens.setdefault(token_id, asyncio.Semaphore(PER_TOKEN))
        try:
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(WAIT_SECONDS):
                        await stack.enter_async_context(token_semaphore)
                        await stack.enter_async_context(self._total)
                except TimeoutError:
                    raise overloaded() from None
                yield
        finally:
            self._pending[token_id] -= 1
            if not self._pending[token_id]:
                del self._pending[token_id], self._tokens[token_id]


#: Calls and awaits a function that reads a list.
Run = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def _in_slot(request: Request, grant: Granted) -> Run:
    slots: ListSlots = request.app.state.slots

    async def run(call: Callable[[], Awaitable[Any]]) -> Any:
        async with slots.slot(grant.token_id):
            return await call()

    return lambda call: while_connected(request.receive, run(call))


#: Calls a function that reads a list, in a slot. Cancels the read if the client disconnects.
InSlot = Annotated[Run, Depends(_in_slot)]


async def _read_in_slot(
    request: Request, run: InSlot
) -> Callable[[Callable[[Connection], Any]], Any]:
    return lambda work: run(lambda: request.app.state.database.run(work))


#: Runs the query of a list in a slot.
ReadList = Annotated[
    Callable[[Callable[[Connection], Any]], Awaitable[Any]], Depends(_read_in_slot)
]
