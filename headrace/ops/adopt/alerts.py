"""Compute alert states, and alerts that the previous cluster did not raise, from `events`."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, or_, select

from headrace.ops.audit.alert_check import EVENT_COLUMNS, hours_around, to_event
from headrace.ops.audit.legacy_alerts import legacy_fingerprint
from headrace.ops.audit.snapshot import POSITION_COLUMNS, Snapshot, source_of
from schemas.alert_rules import ERROR_NEW, PAYMENT
from schemas.batched import batched
from schemas.codec import decode, encode
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from sinks.sql.tables import AlertRow, EventRow, table_of
from sinks.sql.types import from_micros, micros
from streams.domain.alerts.aggregator import KEPT_MS, AlertAggregator
from streams.domain.alerts.new_errors import DIGEST, DIGEST_AFTER_MS, MAX_NEW_PER_HOUR
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.partition_states import PartitionStates

_EVENTS, _ALERTS = table_of(EventRow), table_of(AlertRow)

#: Events processed at a time.
_BATCH_SIZE = 1_000
_HOUR_US = 3_600_000_000


class Limits(NamedTuple):
    """The stream time (ms), and the maximum number of states of a partition."""

    now_ms: int
    max_states: int


class Computed(NamedTuple):
    """The encoded alert states by key, and the alerts that are missing in SQL."""

    states: dict[bytes, bytes]
    missing: list[Alert]


def compute(
    snapshot: Snapshot,
    subscriptions: Subscriptions,
    public_url: str | None,
    limits: Limits,
) -> Computed:
    """Apply the alert rules to payments and errors in the order of `received_at`.

    Alerts are missing if the alert agent of the previous cluster lagged behind the sinks.
    """
    states: PartitionStates[AlertState] = PartitionStates(lambda value: decode(value, AlertState))
    aggregator = AlertAggregator(states, subscriptions, public_url)
    stored = _StoredAlerts(snapshot)
    missing: list[Alert] = []
    for rows in batched(_rows(snapshot, limits.now_ms), _BATCH_SIZE):
        aggregator.evict(limits.max_states)
        for row in rows:
            event, src = to_event(row), source_of(row, limits.now_ms)
            aggregator.advance(src)
            alerts = aggregator.add(event, src)
            missing += [alert for alert in alerts if stored.is_missing(alert, event)]
        missing += filter(stored.is_digest_missing, (alert for _, alert in aggregator.flush()))
        _commit(states)
    aggregator.evict(limits.max_states)
    aggregator.advance(Source(0, 0, limits.now_ms))
    missing += filter(stored.is_digest_missing, (alert for _, alert in aggregator.flush()))
    _commit(states)
    return Computed(states.stored, missing)


class _StoredAlerts:
    """The alerts in SQL."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._ids: set[str] = set()
        self._errors: set[tuple[str, str]] = set()
        self._digests: set[tuple[str, int]] = set()
        self._new_per_hour: Counter[tuple[str, int]] = Counter()
        self._last_us = 0
        names = ("alert_id", "site_id", "rule", "subject", "raised_at")
        for row in snapshot.rows(select(*(_ALERTS.columns[name] for name in names))):
            at = micros(row.raised_at)
            self._ids.add(str(row.alert_id))
            self._last_us = max(self._last_us, at)
            if row.rule == ERROR_NEW and row.subject == DIGEST:
                self._digests.add((row.site_id, at // _HOUR_US))
            elif row.rule == ERROR_NEW:
                self._errors.add((row.site_id, row.subject))
                self._new_per_hour[row.site_id, at // _HOUR_US] += 1

    def is_missing(self, alert: Alert, event: RawEvent) -> bool:
        """Return True if `event` raises the alert by any order of events and it is not stored."""
        if alert.rule == PAYMENT:
            return alert.alert_id not in self._ids
        if alert.rule != ERROR_NEW:
            return False  # windows depend on log append times, which SQL does not have
        if alert.subject == DIGEST:
            return self.is_digest_missing(alert)
        site = alert.site_id
        subjects = (alert.subject, legacy_fingerprint(event))
        if any((site, subject) in self._errors for subject in subjects):
            return False
        hours = hours_around(event.received_at)
        return all(self._new_per_hour[site, hour] < MAX_NEW_PER_HOUR for hour in hours)

    def is_digest_missing(self, alert: Alert) -> bool:
        """Return True if the worker of the previous cluster stopped before it raised the digest."""
        if any((alert.site_id, hour) in self._digests for hour in hours_around(alert.raised_at)):
            return False
        return alert.raised_at + DIGEST_AFTER_MS * 1_000 >= self._last_us


def _rows(snapshot: Snapshot, now_ms: int) -> Iterator[Row[Any]]:
    since = from_micros((now_ms - KEPT_MS) * 1_000)
    query = (
        select(
            *(_EVENTS.columns[name] for name in EVENT_COLUMNS),
            *(_EVENTS.columns[name] for name in POSITION_COLUMNS),
        )
        .where(
            _EVENTS.c.excluded.is_(None),
            or_(
                _EVENTS.c.type == PAYMENT,
                and_(_EVENTS.c.type == "error", _EVENTS.c.received_at >= since),
            ),
        )
        .order_by(_EVENTS.c.received_at, *(_EVENTS.columns[name] for name in POSITION_COLUMNS))
    )
    return snapshot.rows(query)


def _commit(states: PartitionStates[AlertState]) -> None:
    """Apply the staged changes."""
    staged = states.take_staged()
    states.apply({key: None if one is None else encode(one) for key, one in staged}, -1)
