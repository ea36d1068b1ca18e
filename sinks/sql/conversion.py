# cython: annotation_typing=False
# ruff: noqa: ERA001 - the directive above: the types are those of `conversion.pxd`
"""Checks and conversions of the values of rows, for all rows of a batch in one loop.

This module is also compiled, with the types of `conversion.pxd`: that takes a fifth of the time.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = 1_000_000

#: SQLite stores NaN as NULL. It is bound faster than None, for which sqlite3 looks up an adapter.
_NULL = math.nan


def are_storable(
    rows: Iterable[Sequence[Any]],
    texts: Sequence[int],
    checks: Sequence[tuple[int, Callable[[Any], bool]]],
) -> bool:
    """Return False if a text has a NUL character, or if another value does not pass its check.

    `texts` are the indexes of the texts, `checks` those of other columns with their checks.
    """
    for row in rows:
        for index in texts:
            value = row[index]
            if isinstance(value, str) and "\0" in value:
                return False
        for index, check in checks:
            value = row[index]
            if value is not None and not check(value):
                return False
    return True


def convert(
    rows: Iterable[Sequence[Any]], conversions: Sequence[tuple[int, Callable[[Any], Any]]]
) -> list[tuple[Any, ...]]:
    """Return rows with the values that SQLite stores.

    `conversions` are the indexes of converted columns with their conversions.
    """
    converted = []
    for row in rows:
        values = list(row)
        for index, to_sqlite in conversions:
            value = values[index]
            if value is not None:
                values[index] = to_sqlite(value)
        converted.append(tuple([_NULL if value is None else value for value in values]))
    return converted


def iso_utc(at: int) -> str:
    """Format microseconds since 1970 as ISO 8601 text in UTC, which sorts chronologically.

    Raises `OverflowError` outside the years 1 to 9999.
    """
    # The last six of seven digits; a third faster than the format `:06d`.
    return f"{_iso_second(at // _MILLION)}.{str(_MILLION + at % _MILLION)[1:]}Z"


@lru_cache(maxsize=8_192)
def _iso_second(second: int) -> str:
    """Format whole seconds; cached, because the events of a batch share a few seconds."""
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()
