"""The salts of visitor ids: a random one per UTC day, deleted after 48 hours (ADR 64)."""

import logging
import secrets
from collections.abc import Callable
from datetime import date, timedelta

from schemas.codec import CodecError, decode, encode
from schemas.records import Salt
from schemas.topics import SALTS

_log = logging.getLogger(__name__)

DAY_US = 86_400_000_000
#: The days whose salts exist: today, and yesterday for visits across midnight.
_DAYS = 2
_SALT_BYTES = 32
#: A salt is created this long before its day, so that all processes have it at midnight.
_LEAD_US = 3_600_000_000
_EPOCH = date(1970, 1, 1)


class Salts:
    """The salts by day, updated from the topic `salts`; days are counted from 1970.

    `now` returns microseconds since the epoch.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._salts: dict[int, bytes] = {}

    def of(self, day: int) -> bytes | None:
        """Return the salt of a day; None if it does not exist yet, or is deleted."""
        return self._salts.get(day)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic: the first one of a day wins, a tombstone deletes it.

        Records that cannot be decoded are skipped and logged, without their value.
        """
        try:
            day = (date.fromisoformat((key or b"").decode()) - _EPOCH).days
            salt = None if value is None else decode(value, Salt).salt
        except (CodecError, ValueError):
            _log.warning("skipping a record of %s that cannot be decoded", SALTS.name)
            return
        if salt is None:
            self._salts.pop(day, None)
        elif salt and day > self._today() - _DAYS:
            self._salts.setdefault(day, salt)

    def has_today(self) -> bool:
        """Return True if the salt of today is loaded."""
        return self._today() in self._salts

    def missing(self) -> list[int]:
        """Return the days that need a salt now: today, and tomorrow an hour before midnight."""
        today = self._today()
        soon = (self._now() + _LEAD_US) // DAY_US
        return [day for day in sorted({today, soon}) if day not in self._salts]

    def expire(self) -> list[int]:
        """Delete the salts of the days before yesterday; return these days."""
        expired = [day for day in self._salts if day <= self._today() - _DAYS]
        for day in expired:
            del self._salts[day]
        return expired

    def candidate(self, day: int) -> bytes:
        """Return the value of a record with a new salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return encode(Salt(day=day_name(day), salt=salt, created_at=self._now()))

    def _today(self) -> int:
        return self._now() // DAY_US


def day_name(day: int) -> str:
    """Return the name of a day, as `2026-01-31`: the key of its salt."""
    return (_EPOCH + timedelta(days=day)).isoformat()
