"""From records to rows: pure functions, one for each table.

A row is a tuple in the order of the table's columns in `sinks.sql.tables`, in the neutral
values of `sinks.sql.statements`: times in microseconds, ids and JSON as text. A unit test
holds the order.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.paths import path_of
from schemas.records import Alert, PageDuration, RawEvent, Screen, SessionState, Stamped, Utm, Visit
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, PageDurationRow, table_of

_DURATION_COLUMNS = table_of(PageDurationRow).columns.keys()
_ALERT_FIELDS = table_of(AlertRow).columns.keys()[:-1]

_encode = msgspec.json.Encoder().encode


def event_row(event: RawEvent, partition: int, offset: int, epoch: int = 0) -> Row:
    """Return the row of `events`; its place is an offset in `events-raw` of an epoch's cluster."""
    return (
        event.event_id.lower(),  # a UUID counts once, however its digits were written
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
    )


def session_rows(state: SessionState) -> list[Row]:
    """Return the rows of `sessions`: one for each visit of the session, none for passive runs."""
    return [
        _visit_row(state.site_id, state.session_id, visit)
        for visit in state.visits
        if not visit.is_passive
    ]


def duration_row(duration: PageDuration) -> Row:
    """Return the row of `page_durations`."""
    return tuple(
        path_hash(duration.path) if name == "path_hash" else getattr(duration, name)
        for name in _DURATION_COLUMNS
    )


def alert_row(alert: Alert) -> Row:
    """Return the row of `alerts`, but for `seq`, which the writer gives."""
    return tuple(getattr(alert, name) for name in _ALERT_FIELDS)


def path_hash(path: str) -> int:
    """Return the path's BLAKE2b hash of 64 bits as a signed integer: part of a key, never change.

    An hour of a site has some thousand paths, so two share a hash about once in 10^12 hours.
    """
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _visit_row(site_id: str, session_id: str, visit: Visit) -> Row:
    return (
        visit.visit_id,
        site_id,
        session_id,
        _value(visit.visitor_id),
        _value(visit.user_id),
        visit.started_at,
        visit.ended_at,
        (visit.ended_at - visit.started_at) // 1000,
        visit.events,
        visit.pageviews,
        _value(visit.entry),
        _value(visit.exit),
        _value(visit.referrer),
        _value(visit.utm_source),
        _value(visit.utm_medium),
        _value(visit.utm_campaign),
        visit.pageviews == 1 and visit.engagements == 0,
        visit.errors,
        visit.payments,
        visit.state,
        visit.close_reason,
        visit.revision,
    )


def _value(stamped: Stamped | None) -> str | None:
    return None if stamped is None else stamped.value


def _fields(group: Screen | Utm | None) -> str | None:
    """Return the fields that were sent, as JSON."""
    if group is None:
        return None
    values = msgspec.structs.astuple(group)
    if 0 in values:  # 0 and -0.0 are one key
        return _fields_of.__wrapped__(type(group), values)
    return _fields_of(type(group), values)


@lru_cache(maxsize=512)
def _fields_of(kind: type[Screen | Utm], values: tuple[Any, ...]) -> str | None:
    """Remembered, for visitors share their screens and campaigns: a microsecond an event."""
    fields = zip(kind.__struct_fields__, values, strict=True)
    return _json({name: value for name, value in fields if value is not None})


def _json(value: Mapping[str, Any] | list[str] | None) -> str | None:
    return None if value is None else _encode(value).decode()
