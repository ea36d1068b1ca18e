"""The loop that sends what is due, in the role `sinks`; any number of processes may run it."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from schemas.counted import counted
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS, DatabaseUnavailable
from sinks.sql.patience import Patience
from sinks.sql.types import now_utc
from sinks.webhooks import queue
from sinks.webhooks.queue import Claimed
from sinks.webhooks.schedule import GONE, next_attempt
from sinks.webhooks.sender import Sender

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Between looks at what is due, at most: another process may have enqueued something.
_LOOK_SECONDS = 1.0
#: Attempts of one subscription under way at once, so that a slow receiver keeps to itself, ...
MAX_OF_ONE = 4
#: ... and of one whose last attempt did not succeed, or that had none in this process.
MAX_OF_UNPROVEN = 1
#: Attempts under way in all: sockets.
MAX_IN_ALL = 500
#: Of them, kept free for subscriptions whose last attempt succeeded: however many hang.
RESERVED = 100

#: Turns a subscription off, with the reason; raises when that could not be done now.
Disable = Callable[[str, str], Awaitable[None]]
Clock = Callable[[], datetime]


class Deliveries:
    """Claims what is due and sends it; each attempt is a task of its own."""

    def __init__(
        self,
        database: Database,
        reader: Database,
        sender: Sender,
        disable: Disable,
        clock: Clock = now_utc,
    ) -> None:
        self._database = database
        #: Asked first, so that nothing is locked, nor anyone held back, when nothing is due.
        self._reader = reader
        self._sender = sender
        self._disable = disable
        self._clock = clock
        #: Set when there may be something to begin: by `wake`, or as an attempt left its room.
        self._woken = asyncio.Event()
        self._patience = Patience(lambda: self._ending)
        self._under_way: set[asyncio.Task[None]] = set()
        self._in_hand: Counter[str] = Counter()
        #: Subscriptions whose last attempt succeeded.
        self._proven: set[str] = set()
        self._ending = False

    @property
    def trouble(self) -> str | None:
        """The sentence about what the loop is waiting for; None while all is well."""
        return self._patience.trouble

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is in hand until its lease ends."""
        try:
            while True:
                self._woken.clear()
                wait = await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
        finally:
            self._ending = True
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def wake(self) -> None:
        """Look at once: something was enqueued in this process."""
        self._woken.set()

    async def look(self) -> float:
        """Begin an attempt for each delivery that is due and that there is room for.

        Returns after how many seconds to look again, if not woken before.
        """
        now = self._clock()
        try:
            due = await self._reader.run(queue.first_due)
        except DATABASE_ERRORS:
            due = now  # to claim meets the same trouble, and waits until it has passed
        if due is None:
            return _LOOK_SECONDS
        if due > now:
            return min((due - now).total_seconds(), _LOOK_SECONDS)
        await self._begin(now)
        return _LOOK_SECONDS

    async def _begin(self, now: datetime) -> None:
        """Claim what is due and begin its attempts."""
        room = {name: self._room(name) for name in self._in_hand.keys() | self._proven}
        most = MAX_IN_ALL - len(self._under_way)
        if most <= 0:
            return
        unproven = sum(n for name, n in self._in_hand.items() if name not in self._proven)
        others = MAX_IN_ALL - RESERVED - unproven

        def claim(connection: Connection) -> list[Claimed]:
            taken = queue.claim(connection, now, room, 0, most)
            left = min(others, most - len(taken))
            named = dict.fromkeys(room, 0)
            return taken + queue.claim(connection, now, named, MAX_OF_UNPROVEN, left)

        claimed = await self._sql(claim)
        for one in claimed:
            self._in_hand[one.subscription_id] += 1
            task = asyncio.create_task(self._attempt(one))
            self._under_way.add(task)
            task.add_done_callback(partial(self._put_down, one))

    def _room(self, subscription_id: str) -> int:
        most = MAX_OF_ONE if subscription_id in self._proven else MAX_OF_UNPROVEN
        return most - self._in_hand.get(subscription_id, 0)

    def _put_down(self, one: Claimed, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._woken.set()
        self._in_hand[one.subscription_id] -= 1
        if not self._in_hand[one.subscription_id]:
            del self._in_hand[one.subscription_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # It comes up again when its lease ends.
            log.error("delivery %s has no result", one.delivery_id, exc_info=error)

    async def _attempt(self, one: Claimed) -> None:
        body = json.dumps(one.body, ensure_ascii=False, separators=(",", ":"))
        outcome = await self._sender.send(one.url, one.secret, one.delivery_id, body, self._clock())
        (self._proven.add if outcome.is_success else self._proven.discard)(one.subscription_id)
        chance = random.random()  # noqa: S311 - jitter
        now = self._clock()
        next_at = next_attempt(one.step, outcome, now, chance)
        state = await self._sql(
            lambda connection: queue.finish(connection, one, outcome, next_at, now)
        )
        if state == "failed":
            log.warning(
                "delivery %s of subscription %s failed for good after %s (%s)",
                *(one.delivery_id, one.subscription_id),
                counted(one.attempt, "attempt"),
                outcome.error or f"status {outcome.status}",
            )
        if outcome.status == GONE:  # if it cannot be turned off now, the next attempt does it
            log.warning("subscription %s: its receiver is gone (410)", one.subscription_id)
            await self._disable(one.subscription_id, "the receiver answered 410 Gone")

    async def _sql(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._patience.run(lambda: self._database.run(work))
        except DatabaseUnavailable as error:
            raise asyncio.CancelledError from error
