"""Transient trouble is waited out: the events are safe in Kafka."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sinks.sql.errors import (
    DatabaseUnavailable,
    SchemaMissing,
    explain,
    is_schema_missing,
    is_transient,
    reason,
)

T = TypeVar("T")

_logger = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
#: How soon a stop is noticed while waiting.
_GLANCE_SECONDS = 0.1
#: Lines about one and the same trouble come no more often than this.
_LOG_EVERY_SECONDS = 30.0


class Patience:
    """Retries attempts for as long as the database is in trouble and nobody wants to stop.

    `trouble` is the sentence about it while there is some, for readiness, else None.
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.trouble: str | None = None
        self._should_stop = should_stop
        self._since = 0.0
        self._logged = float("-inf")

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns, calling it again 0.1 to 10 s after transient trouble.

        Raises `DatabaseUnavailable` when a stop is asked for meanwhile, `SchemaMissing` when
        the migrations have not run, and what else the attempt raises as it is.
        """
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                result = await attempt()
            except Exception as error:
                if is_schema_missing(error):
                    raise SchemaMissing(
                        f"The database lacks what this version needs ({reason(error)}): "
                        "run `headrace db upgrade`"
                    ) from error
                if not is_transient(error):
                    raise
                self._note(error)
                await self._pause(delay, error)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            else:
                self._note_success()
                return result

    async def _pause(self, seconds: float, error: Exception) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._should_stop():
                raise DatabaseUnavailable(f"{explain(error)}; stopping without it") from error
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _GLANCE_SECONDS))

    def _note(self, error: Exception) -> None:
        now = time.monotonic()
        if self.trouble is None:
            self._since = now
        sentence = explain(error)
        if sentence != self.trouble or now - self._logged >= _LOG_EVERY_SECONDS:
            self._logged = now
            _logger.warning("%s; trying again, the events stay in Kafka meanwhile", sentence)
        self.trouble = sentence

    def _note_success(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            away = time.monotonic() - self._since
            _logger.warning("The database takes writes again, after %.1f s", away)
