"""Reports differing rows with their events."""

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
    """Return the differences as lines, the first with their events; empty if there are none.

    `history` returns the events of a row; they are listed in the order of the log.
    """
    differing = [
        key for key in sorted({*stored, *expected}) if stored.get(key) != expected.get(key)
    ]
    if not differing:
        return []
    lines = [f"{table}: {len(differing)} of {len({*stored, *expected})} rows differ"]
    for key in differing[:_SHOWN]:
        row, expected_row = stored.get(key), expected.get(key)
        lines.append(f"  {table} {key}: {_difference(row, expected_row)}")
        lines += _event_lines(history(row or expected_row or {}))
    return lines


def _difference(row: Row | None, expected_row: Row | None) -> str:
    if row is None:
        return f"is missing; it should be {expected_row}"
    if expected_row is None:
        return f"should not be there; it is {row}"
    return ", ".join(
        f"{name} is {row.get(name)!r}, not {expected_row.get(name)!r}"
        for name in sorted({*row, *expected_row})
        if row.get(name) != expected_row.get(name)
    )


def _event_lines(log: Log) -> list[str]:
    lines = [
        f"    {src.partition}/{src.offset} logged {_time(src.log_ms * 1_000)}: {event.type} at "
        f"{_time(event.event_ts)}, {event.path}, {event.duration_ms}, {event.error_name}, "
        f"{event.session_id}, {event.event_id}"
        for event, src in sorted(log, key=lambda entry: entry[1])
    ]
    return lines[:_HISTORY]


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat()
