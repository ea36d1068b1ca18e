"""Retries of database transactions until the database is available again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sinks.sql.errors import (
    DatabaseUnavailable,
    SchemaMissing,
    driver_message,
    explain,
    is_schema_missing,
    is_transient,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Exponential backoff.
MIN_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 10.0
#: Between two checks of `should_stop` while waiting.
_STOP_CHECK_SECONDS = 0.1
#: The minimum interval between log lines about the same problem.
_LOG_INTERVAL_SECONDS = 30.0


class Retrier:
    """Retries attempts with backoff while the database has transient errors.

    `problem` describes the current error for readiness checks; None if there is none.
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.problem: str | None = None
        self._should_stop = should_stop
        self._failing_since = 0.0
        self._logged_at = float("-inf")

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call `attempt` until it succeeds and return its result.

        Retries transient errors after 0.1 to 10 s. Raises `DatabaseUnavailable` if `should_stop`
        returns True while waiting, `SchemaMissing` if the migrations have not been run, and all
        other errors of the attempt.
        """
        delay = MIN_DELAY_SECONDS
        while True:
            try:
                result = await attempt()
            except Exception as error:
                if is_schema_missing(error):
                    raise SchemaMissing(
                        f"The database schema is outdated ({driver_message(error)}): "
                        "run `headrace db upgrade`"
                    ) from error
                if not is_transient(error):
                    raise
                self._on_failure(error)
                await self._pause(delay, error)
                delay = min(2 * delay, MAX_DELAY_SECONDS)
            else:
                self._on_success()
                return result

    async def _pause(self, seconds: float, error: Exception) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._should_stop():
                raise DatabaseUnavailable(
                    f"{explain(error)}; stopped while waiting for it"
                ) from error
            remaining = until - time.monotonic()
            if remaining <= 0:
                return
            await asyncio.sleep(min(remaining, _STOP_CHECK_SECONDS))

    def _on_failure(self, error: Exception) -> None:
        now = time.monotonic()
        if self.problem is None:
            self._failing_since = now
        problem = explain(error)
        if problem != self.problem or now - self._logged_at >= _LOG_INTERVAL_SECONDS:
            self._logged_at = now
            log.warning("%s; retrying; the events stay in Kafka", problem)
        self.problem = problem

    def _on_success(self) -> None:
        if self.problem is not None:
            self.problem = None
            seconds = time.monotonic() - self._failing_since
            log.warning("The database accepts writes again, after %.1f s", seconds)
