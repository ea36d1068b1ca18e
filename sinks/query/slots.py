"""How many lists are read at the same time, in all and for each token."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection

from sinks.query.auth import Granted
from sinks.query.body import while_connected
from sinks.query.errors import ApiError, overloaded
from sinks.sql.reader import READERS

#: One reader is left for the streams of alerts.
TOTAL = READERS - 1
#: Lists that are read at the same time for one token.
PER_TOKEN = 2
#: Lists of one token that are read or wait for a slot.
PENDING_PER_TOKEN = 20
#: That a list waits for a slot.
WAIT_SECONDS = 4.0


class ListSlots:
    """Slots for lists, in the order of the requests; a token has its share, not all.

    A list that finds `PENDING_PER_TOKEN` of its token is answered with 429, one that waits for
    longer than `WAIT_SECONDS` with 503; both with Retry-After.
    """

    def __init__(self) -> None:
        self._total = asyncio.Semaphore(TOTAL)
        self._tokens: dict[str, asyncio.Semaphore] = {}
        self._pending: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, token_id: str) -> AsyncIterator[None]:
        """Hold a slot for a list of a token."""
        if self._pending[token_id] >= PENDING_PER_TOKEN:
            sentence = (
                f"This token has {PENDING_PER_TOKEN} lists waiting; ask again when they are "
                "answered"
            )
            raise ApiError("too_many_lists", sentence, retry_after="1")
        self._pending[token_id] += 1
        of_token = self._tokens.setdefault(token_id, asyncio.Semaphore(PER_TOKEN))
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(WAIT_SECONDS):
                        await held.enter_async_context(of_token)
                        await held.enter_async_context(self._total)
                except TimeoutError:
                    raise overloaded() from None
                yield
        finally:
            self._pending[token_id] -= 1
            if not self._pending[token_id]:
                del self._pending[token_id], self._tokens[token_id]


#: Awaits a call that reads a list.
Run = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def _in_slot(request: Request, grant: Granted) -> Run:
    slots: ListSlots = request.app.state.slots

    async def run(call: Callable[[], Awaitable[Any]]) -> Any:
        async with slots.slot(grant.token_id):
            return await call()

    return lambda call: while_connected(request.receive, run(call))


#: Reads a list in a slot; the read is cancelled if the client goes away.
InSlot = Annotated[Run, Depends(_in_slot)]


async def _read_in_slot(
    request: Request, run: InSlot
) -> Callable[[Callable[[Connection], Any]], Any]:
    return lambda work: run(lambda: request.app.state.database.run(work))


#: Reads a list from SQL in a slot.
ReadList = Annotated[
    Callable[[Callable[[Connection], Any]], Awaitable[Any]], Depends(_read_in_slot)
]
