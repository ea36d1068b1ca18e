"""The alerts that `events` make, beside those of the table `alerts`.

Payments are sure: one alert each. Of errors, their order across partitions and the broker's
clock decide which one is new or one too many, and `events` does not hold these; what is judged
here holds whatever they were.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Row, Select, and_, select
from sqlmodel import col

from infra.audit import grounds
from infra.audit.difference import MISSING, NOT_FROM_EVENTS, Findings, merge, micros
from infra.audit.grounds import EVENT_COLUMNS, event_of
from infra.audit.scope import Key, Scope, bytewise
from infra.audit.snapshot import Snapshot
from schemas.alert_rules import ERROR_NEW, PAYMENT
from schemas.records import RawEvent
from sinks.sql.tables import AlertRow, EventRow, table_of
from streams.domain import alerts
from streams.domain.alert_book import MAX_FINGERPRINTS
from streams.domain.alerts import MAX_NEW_AN_HOUR, NEW_AFTER_MS
from streams.domain.fingerprints import fingerprint

_ALERTS, _EVENTS = table_of(AlertRow), table_of(EventRow)
_HOUR_US = 3_600_000_000


def compare(snapshot: Snapshot, scope: Scope) -> Findings:
    """Compare `alerts` with `events`, as far as these decide."""
    findings = Findings("alerts")
    _compare_payments(snapshot, scope, findings)
    _compare_grounds(snapshot, scope, findings)
    _compare_new_errors(snapshot, scope, findings)
    return findings


def _compare_payments(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each payment that was recent has its alert, and each such alert its payment."""
    events = snapshot.rows(_payments_query(snapshot, scope), counted=True)
    found = snapshot.rows(_payment_alerts_query(snapshot, scope))
    wanted: Iterator[tuple[Key, RawEvent]] = (
        ((event.site_id, event.event_id, event.session_id), event)
        for event in map(event_of, events)
        if alerts.is_recent(event)
    )
    has: Iterator[tuple[Key, list[Row[Any]]]] = (
        (key, list(some))
        for key, some in groupby(found, key=lambda row: (row.site_id, row.event_id, row.subject))
    )
    for key, event, rows in merge(wanted, has):
        for row in rows or ():
            what = NOT_FROM_EVENTS if event is None else grounds.of_payment(row, event)
            findings.add(key, f"{key[0]} {PAYMENT} {row.alert_id}", what)
        if event is not None and not rows:
            findings.add(key, f"{key[0]} {PAYMENT} of the event {event.event_id}", MISSING)


def _compare_grounds(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each other alert has the event that it names, and is what its rule makes of it."""
    rows = snapshot.rows(_grounds_query(snapshot, scope))
    for alert_id, some in groupby(rows, key=lambda row: str(row.alert_id)):
        candidates = list(some)
        row = candidates[0]
        events = [event_of(other) for other in candidates if other.type is not None]
        findings.add(
            (row.site_id,), f"{row.site_id} {row.rule} {alert_id}", grounds.of(row, events)
        )


def _compare_new_errors(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each error was told as new, unless its site had its share of them, and not too often."""
    events = snapshot.rows(_errors_query(snapshot, scope), counted=True)
    found = snapshot.rows(_new_errors_query(snapshot, scope))
    for key, errors, told in merge(_by_site(events), _by_site(found)):
        site = _SiteErrors(told or ())
        for row in errors or ():
            site.see(row)
        for row_name, what in site.wrong():
            findings.add(key, f"{key[0]} {ERROR_NEW} {row_name}", what)


class _SiteErrors:
    """The errors of one site, and the alerts for new ones."""

    def __init__(self, told: Iterable[Row[Any]]) -> None:
        self._told: defaultdict[str, list[int]] = defaultdict(list)
        self._an_hour: Counter[int] = Counter()
        for row in told:
            raised_at = micros(row.raised_at)
            self._told[row.subject].append(raised_at)
            self._an_hour[raised_at // _HOUR_US] += 1
        self._untold: dict[str, str] = {}
        #: Fingerprints that may have come when the share was used up.
        self._excused: set[str] = set()

    def see(self, row: Row[Any]) -> None:
        event = event_of(row)
        if not alerts.is_recent(event):
            return
        subject = fingerprint(event)
        if subject in self._told or subject in self._excused:
            return
        hour = event.received_at // _HOUR_US
        # The hour is that of the broker's clock, near which the server's is.
        if any(self._an_hour[near] >= MAX_NEW_AN_HOUR for near in (hour - 1, hour, hour + 1)):
            self._excused.add(subject)
            self._untold.pop(subject, None)
        else:
            self._untold.setdefault(subject, event.event_id)

    def wrong(self) -> Iterator[tuple[str, str]]:
        for subject, event_id in sorted(self._untold.items()):
            yield f"{subject} of the event {event_id}", MISSING
        if len(self._told) + len(self._untold) + len(self._excused) > MAX_FINGERPRINTS:
            return  # those not seen for longest are forgotten, and new again
        for subject, times in self._told.items():
            for before, after in pairwise(sorted(times)):
                if after - before <= NEW_AFTER_MS * 1_000:
                    yield subject, "was raised twice within 30 days"


def _by_site(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, Iterator[Row[Any]]]]:
    """Yield each site with its rows, which are to be read before the next site is asked for."""
    for site_id, some in groupby(rows, key=lambda row: str(row.site_id)):
        yield (site_id,), some


def _payments_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    query = _of_events(scope).where(_EVENTS.c.type == PAYMENT)
    session = bytewise(snapshot.connection, _EVENTS.c.session_id)
    return query.order_by(_site(snapshot, _EVENTS), _EVENTS.c.event_id, session)


def _payment_alerts_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    query = _of_alerts(scope).where(_is_sure_payment())
    subject = bytewise(snapshot.connection, _ALERTS.c.subject)
    return query.order_by(_site(snapshot, _ALERTS), _ALERTS.c.event_id, subject)


def _errors_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    return _of_events(scope).where(_EVENTS.c.type == "error").order_by(_site(snapshot, _EVENTS))


def _new_errors_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    query = _of_alerts(scope).where(
        col(AlertRow.rule) == ERROR_NEW, col(AlertRow.subscription_id).is_(None)
    )
    return query.order_by(_site(snapshot, _ALERTS))


def _grounds_query(snapshot: Snapshot, scope: Scope) -> Select[Any]:
    names = (name for name in EVENT_COLUMNS if name not in _ALERTS.columns)
    query = select(_ALERTS, *(_EVENTS.columns[name] for name in names)).join_from(
        _ALERTS,
        _EVENTS,
        and_(_EVENTS.c.event_id == _ALERTS.c.event_id, _EVENTS.c.site_id == _ALERTS.c.site_id),
        isouter=True,
    )
    if scope.sites is not None:
        query = query.where(_ALERTS.c.site_id.in_(sorted(scope.sites)))
    return query.where(~_is_sure_payment()).order_by(_site(snapshot, _ALERTS), _ALERTS.c.alert_id)


def _is_sure_payment() -> Any:
    return and_(
        _ALERTS.c.rule == PAYMENT,
        _ALERTS.c.subscription_id.is_(None),
        _ALERTS.c.event_id.is_not(None),
    )


def _of_events(scope: Scope) -> Select[Any]:
    query = select(*(_EVENTS.columns[name] for name in EVENT_COLUMNS))
    if scope.sites is not None:
        query = query.where(_EVENTS.c.site_id.in_(sorted(scope.sites)))
    return query


def _of_alerts(scope: Scope) -> Select[Any]:
    query = select(_ALERTS)
    if scope.sites is not None:
        query = query.where(_ALERTS.c.site_id.in_(sorted(scope.sites)))
    return query


def _site(snapshot: Snapshot, table: Any) -> Any:
    return bytewise(snapshot.connection, table.c.site_id)
