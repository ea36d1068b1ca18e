"""Map records to rows: pure functions, one for each table.

A row is a tuple in the column order of its table in `sinks.sql.tables`. Its values are those of
`sinks.sql.statements`: times in microseconds, ids and JSON as text.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.flat_visits import flat_visits
from schemas.paths import path_of
from schemas.records import (
    Alert,
    FlatVisit,
    PageDuration,
    RawEvent,
    Screen,
    SessionState,
    Utm,
    Visit,
)
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, PageDurationRow, table_of

_DURATION_COLUMNS = table_of(PageDurationRow).columns.keys()
_ALERT_FIELDS = table_of(AlertRow).columns.keys()[:-1]

#: The index of the first of the two times of a visit.
_TIMES = FlatVisit.__struct_fields__.index("started_ms")

_encode = msgspec.json.Encoder().encode


def event_row(event: RawEvent, partition: int, offset: int, epoch: int = 0) -> Row:
    """Return the row of `events`.

    `partition` and `offset` are the event's position in `events-raw`, `epoch` is the cluster's.
    """
    return (
        event.event_id.lower(),  # the primary key: UUIDs are case-insensitive
        event.site_id,
        event.session_id,
        event.visitor_id,
        event.user_id,
        event.type,
        event.event_ts,
        event.received_at,
        event.time_source,
        event.url,
        path_of(event.path, event.url),
        event.hostname,
        event.title,
        event.referrer,
        event.language,
        event.user_agent,
        _fields(event.screen),
        _fields(event.utm),
        _json(event.ad_click_ids),
        event.duration_ms,
        event.event_name,
        event.properties,
        _json(event.vitals),
        event.error_name,
        event.error_message,
        event.error_stack,
        event.provider,
        event.amount,
        event.currency,
        event.extra,
        _json(event.truncated or None),
        partition,
        offset,
        epoch,
        event.browser,
        event.browser_version,
        event.os,
        event.device,
        event.is_bot,
        event.country,
        event.region,
        event.source,
        event.channel,
        event.trust,
        event.excluded,
    )


def session_rows(state: SessionState) -> list[Row]:
    """Return the rows of `sessions`: one for each visit that is not passive."""
    return [_visit_row(visit, flat) for visit, flat in flat_visits(state)]


def flat_visit_of(row: Row) -> FlatVisit:
    """Return the record of the topic `visits` for a row of `sessions`."""
    fields = dict(zip(FlatVisit.__struct_fields__, row, strict=True))
    return FlatVisit(
        **fields
        | {
            "visit_id": str(fields["visit_id"]),
            "started_ms": fields["started_ms"] // 1_000,
            "ended_ms": fields["ended_ms"] // 1_000,
        }
    )


def duration_row(duration: PageDuration) -> Row:
    """Return the row of `page_durations`."""
    return tuple(
        path_hash(duration.path) if name == "path_hash" else getattr(duration, name)
        for name in _DURATION_COLUMNS
    )


def alert_row(alert: Alert) -> Row:
    """Return the row of `alerts` without `seq`, which the writer assigns."""
    return tuple(getattr(alert, name) for name in _ALERT_FIELDS)


def path_hash(path: str) -> int:
    """Return the 64-bit BLAKE2b hash of a path as a signed integer.

    It is part of a primary key: never change it. A site has some thousand paths an hour, so a
    collision is expected once in about 10^12 hours.
    """
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _visit_row(visit: Visit, flat: FlatVisit) -> Row:
    """Return the row of a visit: the flat visit with times in microseconds."""
    values = msgspec.structs.astuple(flat)
    return (*values[:_TIMES], visit.started_at, visit.ended_at, *values[_TIMES + 2 :])


def _fields(struct: Screen | Utm | None) -> str | None:
    """Return the fields that are not null, as JSON."""
    if struct is None:
        return None
    values = msgspec.structs.astuple(struct)
    if 0 in values:  # 0 and -0.0 would share a cache entry
        return _cached_fields.__wrapped__(type(struct), values)
    return _cached_fields(type(struct), values)


@lru_cache(maxsize=512)
def _cached_fields(struct: type[Screen | Utm], values: tuple[Any, ...]) -> str | None:
    """Encode fields; cached, because visitors share screens and campaigns (1 µs an event)."""
    fields = zip(struct.__struct_fields__, values, strict=True)
    return _json({name: value for name, value in fields if value is not None})


def _json(value: Mapping[str, Any] | list[str] | None) -> str | None:
    return None if value is None else _encode(value).decode()
