"""The delivery loop of the role `sinks`. Any number of processes may run it concurrently."""

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

from schemas.plurals import counted
from sinks.delivery import queue
from sinks.delivery.queue import ClaimedDelivery
from sinks.delivery.schedule import GONE, next_attempt
from sinks.delivery.sender import Sender
from sinks.sql.engine import Database
from sinks.sql.errors import DATABASE_ERRORS, DatabaseUnavailable
from sinks.sql.retries import Retrier
from sinks.sql.types import now_utc

T = TypeVar("T")

log = logging.getLogger(__name__)

#: The poll interval, because other processes may enqueue deliveries.
_POLL_SECONDS = 1.0
#: Concurrent attempts of one subscription, so that a slow receiver does not delay others.
MAX_PER_SUBSCRIPTION = 4
#: The same for an unproven subscription: its last attempt failed, or this process made none.
MAX_PER_UNPROVEN = 1
#: Concurrent attempts in total, each with a socket.
MAX_IN_FLIGHT = 500
#: How many of them are reserved for proven subscriptions, in case receivers hang.
RESERVED = 100

#: The outcome of an attempt, by the state of its delivery; None: the lease was lost.
OUTCOMES = {"delivered": "delivered", "pending": "retried", "failed": "failed", None: "lost"}

#: Disables a subscription with a reason; raises if that fails.
Disable = Callable[[str, str], Awaitable[None]]
Clock = Callable[[], datetime]


class Dispatcher:
    """Claims due deliveries and sends each in its own task."""

    def __init__(
        self,
        database: Database,
        reader: Database,
        sender: Sender,
        disable: Disable,
        clock: Clock = now_utc,
    ) -> None:
        self._database = database
        #: Polled for due deliveries, so that writers are blocked only when there are some.
        self._reader = reader
        self._sender = sender
        self._disable = disable
        self._clock = clock
        #: Set by `wake`, and when an attempt ends, which frees capacity.
        self._woken = asyncio.Event()
        self._retrier = Retrier(lambda: self._is_stopping)
        self._tasks: set[asyncio.Task[None]] = set()
        #: Attempts in flight by subscription.
        self._in_flight: Counter[str] = Counter()
        #: Subscriptions whose last attempt succeeded.
        self._proven: set[str] = set()
        self._is_stopping = False
        #: Attempts by outcome: `delivered`, `retried`, `failed` (for good), `lost` (the lease).
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES.values(), 0))

    @property
    def problem(self) -> str | None:
        """The database error that the loop retries after; None if there is none."""
        return self._retrier.problem

    async def run(self) -> None:
        """Deliver until cancelled; interrupted attempts are claimed again when their lease ends."""
        try:
            while True:
                self._woken.clear()
                wait = await self.poll()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
        finally:
            self._is_stopping = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Poll immediately, because this process has enqueued deliveries."""
        self._woken.set()

    async def poll(self) -> float:
        """Start attempts of due deliveries up to the limits.

        Return the seconds to wait before the next poll, unless woken.
        """
        now = self._clock()
        try:
            due = await self._reader.run(queue.first_due)
        except DATABASE_ERRORS:
            due = now  # claiming has the same error, and retries
        if due is None:
            return _POLL_SECONDS
        if due > now:
            return min((due - now).total_seconds(), _POLL_SECONDS)
        await self._start_due(now)
        return _POLL_SECONDS

    async def _start_due(self, now: datetime) -> None:
        """Claim due deliveries and start their attempts, those of proven subscriptions first."""
        capacities = {name: self._capacity(name) for name in self._in_flight.keys() | self._proven}
        limit = MAX_IN_FLIGHT - len(self._tasks)
        if limit <= 0:
            return
        unproven = sum(n for name, n in self._in_flight.items() if name not in self._proven)
        unproven_limit = MAX_IN_FLIGHT - RESERVED - unproven

        def claim(connection: Connection) -> list[ClaimedDelivery]:
            claimed = queue.claim(connection, now, capacities, 0, limit)
            remaining = min(unproven_limit, limit - len(claimed))
            excluded = dict.fromkeys(capacities, 0)
            return claimed + queue.claim(connection, now, excluded, MAX_PER_UNPROVEN, remaining)

        for delivery in await self._write(claim):
            self._in_flight[delivery.subscription_id] += 1
            task = asyncio.create_task(self._attempt(delivery))
            self._tasks.add(task)
            task.add_done_callback(partial(self._on_done, delivery))

    def _capacity(self, subscription_id: str) -> int:
        limit = MAX_PER_SUBSCRIPTION if subscription_id in self._proven else MAX_PER_UNPROVEN
        return limit - self._in_flight.get(subscription_id, 0)

    def _on_done(self, delivery: ClaimedDelivery, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken.set()
        self._in_flight[delivery.subscription_id] -= 1
        if not self._in_flight[delivery.subscription_id]:
            del self._in_flight[delivery.subscription_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # It is claimed again when its lease ends.
            log.error("delivery %s has no result", delivery.delivery_id, exc_info=error)

    async def _attempt(self, delivery: ClaimedDelivery) -> None:
        subscription_id = delivery.subscription_id
        body = json.dumps(delivery.body, ensure_ascii=False, separators=(",", ":"))
        outcome = await self._sender.send(
            delivery.url, delivery.secret, delivery.delivery_id, body, self._clock()
        )
        (self._proven.add if outcome.is_success else self._proven.discard)(subscription_id)
        now = self._clock()
        jitter = random.random()  # noqa: S311 - not for security
        next_at = next_attempt(delivery.step, outcome, now, jitter)
        state = await self._write(
            lambda connection: queue.finish(connection, delivery, outcome, next_at, now)
        )
        self.outcomes[OUTCOMES[state]] += 1
        if state == "failed":
            log.warning(
                "delivery %s of subscription %s failed permanently after %s (%s)",
                *(delivery.delivery_id, subscription_id),
                counted(delivery.attempt, "attempt"),
                outcome.error or f"status {outcome.status}",
            )
        if outcome.status == GONE:  # if disabling fails, the next attempt repeats it
            log.warning("subscription %s: the receiver answered 410 Gone", subscription_id)
            await self._disable(subscription_id, "the receiver answered 410 Gone")

    async def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._retrier.run(lambda: self._database.run(work))
        except DatabaseUnavailable as error:
            raise asyncio.CancelledError from error
