"""What the alert rules know, computed from `events`, and alerts that were never raised."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, or_, select

from infra.audit.former import former_fingerprint
from infra.audit.grounds import EVENT_COLUMNS, event_of, hours_near
from infra.audit.snapshot import PLACE, Snapshot, source_of
from schemas.alert_rules import ERROR_NEW, PAYMENT
from schemas.batched import batched
from schemas.codec import decode, encode
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from sinks.sql.tables import AlertRow, EventRow, table_of
from sinks.sql.types import from_micros, micros
from streams.domain.alert_aggregator import KEPT_MS, AlertAggregator
from streams.domain.alerts import DIGEST, DIGEST_AFTER_MS, MAX_NEW_PER_HOUR
from streams.domain.subscriptions import Subscriptions
from streams.engine.partition_states import PartitionStates

_EVENTS, _ALERTS = table_of(EventRow), table_of(AlertRow)

#: Events between two writes of states.
_AT_ONCE = 1_000
_HOUR_US = 3_600_000_000


class Limits(NamedTuple):
    """The stream time (ms), and how many states a partition keeps."""

    now_ms: int
    max_states: int


class Computed(NamedTuple):
    """Of each site: its alert states by key, encoded; and the alerts that SQL lacks."""

    states: dict[bytes, bytes]
    missing: list[Alert]


def compute(
    snapshot: Snapshot,
    subscriptions: Subscriptions,
    public_url: str | None,
    limits: Limits,
) -> Computed:
    """Apply the rules to payments and errors in the order of `received_at`.

    A payment without its alert, an error that was never reported to its site, and a digest that was
    not raised were stored while the old cluster's alert worker lagged behind: their alerts are
    missing.
    """
    states: PartitionStates[AlertState] = PartitionStates(lambda value: decode(value, AlertState))
    aggregator = AlertAggregator(states, subscriptions, public_url)
    raised = _Raised(snapshot)
    missing: list[Alert] = []
    for rows in batched(_rows(snapshot, limits.now_ms), _AT_ONCE):
        aggregator.evict(limits.max_states)
        for row in rows:
            event, src = event_of(row), source_of(row, limits.now_ms)
            aggregator.advance(src)
            alerts = aggregator.add(event, src)
            missing += [alert for alert in alerts if raised.lacks(alert, event)]
        missing += filter(raised.lacks_digest, aggregator.flush())
        _apply(states)
    aggregator.evict(limits.max_states)
    aggregator.advance(Source(0, 0, limits.now_ms))
    missing += filter(raised.lacks_digest, aggregator.flush())
    _apply(states)
    return Computed(states.stored, missing)


class _Raised:
    """The alerts that SQL has."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._ids: set[str] = set()
        self._errors: set[tuple[str, str]] = set()
        self._digests: set[tuple[str, int]] = set()
        self._an_hour: Counter[tuple[str, int]] = Counter()
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
                self._an_hour[row.site_id, at // _HOUR_US] += 1

    def lacks(self, alert: Alert, event: RawEvent) -> bool:
        """Return True if the alert is one that its event must have, and is not there."""
        if alert.rule == PAYMENT:
            return alert.alert_id not in self._ids
        if alert.rule != ERROR_NEW:
            return False  # whether a window had too many is decided by the broker's clock
        if alert.subject == DIGEST:
            return self.lacks_digest(alert)
        site = alert.site_id
        if any((site, one) in self._errors for one in (alert.subject, former_fingerprint(event))):
            return False
        near = hours_near(event.received_at)
        return all(self._an_hour[site, one] < MAX_NEW_PER_HOUR for one in near)

    def lacks_digest(self, alert: Alert) -> bool:
        """Return True if the old cluster's worker had not reached a digest when it stopped."""
        if any((alert.site_id, one) in self._digests for one in hours_near(alert.raised_at)):
            return False
        return alert.raised_at + DIGEST_AFTER_MS * 1_000 >= self._last_us


def _rows(snapshot: Snapshot, now_ms: int) -> Iterator[Row[Any]]:
    since = from_micros((now_ms - KEPT_MS) * 1_000)
    query = (
        select(
            *(_EVENTS.columns[name] for name in EVENT_COLUMNS),
            *(_EVENTS.columns[name] for name in PLACE),
        )
        .where(
            or_(
                _EVENTS.c.type == PAYMENT,
                and_(_EVENTS.c.type == "error", _EVENTS.c.received_at >= since),
            )
        )
        .order_by(_EVENTS.c.received_at, *(_EVENTS.columns[name] for name in PLACE))
    )
    return snapshot.rows(query)


def _apply(states: PartitionStates[AlertState]) -> None:
    staged = states.take_staged()
    states.apply({key: None if one is None else encode(one) for key, one in staged}, -1)
