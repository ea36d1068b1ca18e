"""Rows that differ, told with their history."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.reference import Log, Row

Key = tuple[Any, ...]

_SHOWN = 5
_HISTORY = 30


def differences(
    table: str,
    stored: Mapping[Key, Row],
    expected: Mapping[Key, Row],
    history: Callable[[Row], Log],
) -> list[str]:
    """Return nothing when both are the same; else what differs, the first with their history.

    `history` returns the events that a row is made of; they are shown in the order of the log.
    """
    differing = [
        key for key in sorted({*stored, *expected}) if stored.get(key) != expected.get(key)
    ]
    if not differing:
        return []
    told = [f"{table}: {len(differing)} of {len({*stored, *expected})} rows differ"]
    for key in differing[:_SHOWN]:
        row, wanted = stored.get(key), expected.get(key)
        told.append(f"  {table} {key}: {_difference(row, wanted)}")
        told += _told(history(row or wanted or {}))
    return told


def _difference(row: Row | None, wanted: Row | None) -> str:
    if row is None:
        return f"is missing; it should be {wanted}"
    if wanted is None:
        return f"should not be there; it is {row}"
    return ", ".join(
        f"{name} is {row.get(name)!r}, not {wanted.get(name)!r}"
        for name in sorted({*row, *wanted})
        if row.get(name) != wanted.get(name)
    )


def _told(log: Log) -> list[str]:
    lines = [
        f"    {src.partition}/{src.offset} logged {_time(src.log_ms * 1_000)}: {event.type} at "
        f"{_time(event.event_ts)}, {event.path}, {event.duration_ms}, {event.error_name}, "
        f"{event.session_id}, {event.event_id}"
        for event, src in sorted(log, key=lambda one: one[1])
    ]
    return lines[:_HISTORY]


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat()
