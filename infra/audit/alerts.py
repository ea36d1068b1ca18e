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

from infra.audit import grounds
from infra.audit.difference import MISSING, NOT_FROM_EVENTS, Findings, merge
from infra.audit.former import former_fingerprint
from infra.audit.grounds import EVENT_COLUMNS, event_of
from infra.audit.scope import Key, Scope
from infra.audit.snapshot import Snapshot
from schemas.alert_rules import ERROR_NEW, PAYMENT
from schemas.records import RawEvent
from sinks.sql.tables import AlertRow, EventRow, table_of
from sinks.sql.types import micros
from streams.domain import alerts
from streams.domain.alert_aggregator import MAX_FINGERPRINTS
from streams.domain.alerts import DIGEST, MAX_NEW_PER_HOUR, NEW_AFTER_MS
from streams.domain.fingerprints import fingerprint

_ALERTS, _EVENTS = table_of(AlertRow), table_of(EventRow)
_HOUR_US = 3_600_000_000
#: The alerts of payments that name their event.
_IS_PAYMENT = and_(
    _ALERTS.c.rule == PAYMENT,
    _ALERTS.c.subscription_id.is_(None),
    _ALERTS.c.event_id.is_not(None),
)


def compare(snapshot: Snapshot, scope: Scope) -> Findings:
    """Compare `alerts` with `events`, as far as these decide."""
    findings = Findings("alerts")
    _compare_payments(snapshot, scope, findings)
    _compare_grounds(snapshot, scope, findings)
    _compare_new_errors(snapshot, scope, findings)
    return findings


def _compare_payments(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each payment that was recent has its alert, and each such alert its payment."""
    payments = _events_of(scope, PAYMENT).order_by(_EVENTS.c.event_id, _EVENTS.c.session_id)
    found = _alerts_of(scope).where(_IS_PAYMENT).order_by(_ALERTS.c.event_id, _ALERTS.c.subject)
    wanted: Iterator[tuple[Key, RawEvent]] = (
        ((event.site_id, event.event_id, event.session_id), event)
        for event in map(event_of, snapshot.rows(payments, counted=True))
        if alerts.is_recent(event)
    )
    has: Iterator[tuple[Key, list[Row[Any]]]] = (
        (key, list(some))
        for key, some in groupby(
            snapshot.rows(found), key=lambda row: (row.site_id, row.event_id, row.subject)
        )
    )
    for key, event, rows in merge(wanted, has):
        for row in rows or ():
            what = NOT_FROM_EVENTS if event is None else grounds.of_payment(row, event)
            findings.add(key, f"{key[0]} {PAYMENT} {row.alert_id}", what)
        if event is not None and not rows:
            findings.add(key, f"{key[0]} {PAYMENT} of the event {event.event_id}", MISSING)


def _compare_grounds(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each other alert has the event that it names, and is what its rule makes of it."""
    rows = snapshot.rows(_grounds_query(scope))
    for alert_id, some in groupby(rows, key=lambda row: str(row.alert_id)):
        candidates = list(some)
        row = candidates[0]
        events = [event_of(other) for other in candidates if other.type is not None]
        findings.add(
            (row.site_id,), f"{row.site_id} {row.rule} {alert_id}", grounds.of(row, events)
        )


def _compare_new_errors(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Each error raised an alert, unless its site had its share of them whenever it came."""
    events = snapshot.rows(_events_of(scope, "error"), counted=True)
    found = snapshot.rows(
        _alerts_of(scope).where(_ALERTS.c.rule == ERROR_NEW, _ALERTS.c.subscription_id.is_(None))
    )
    for key, errors, reported in merge(_by_site(events), _by_site(found)):
        site = _SiteErrors(reported or ())
        for row in errors or ():
            site.see(row)
        for row_name, what in site.wrong():
            findings.add(key, f"{key[0]} {ERROR_NEW} {row_name}", what)


class _SiteErrors:
    """The errors of one site, and the alerts for new ones."""

    def __init__(self, reported: Iterable[Row[Any]]) -> None:
        self._reported: defaultdict[str, list[int]] = defaultdict(list)
        self._an_hour: Counter[int] = Counter()
        #: Hours that had more new errors than their share, all of which stayed unseen.
        self._digests: set[int] = set()
        for row in reported:
            raised_at = micros(row.raised_at)
            if row.subject == DIGEST:
                self._digests.add(raised_at // _HOUR_US - 1)
                continue
            self._reported[row.subject].append(raised_at)
            self._an_hour[raised_at // _HOUR_US] += 1
        self._unreported: dict[str, str] = {}
        #: Fingerprints that may have come when the share was used up.
        self._excused: set[str] = set()

    def see(self, row: Row[Any]) -> None:
        event = event_of(row)
        if not alerts.is_recent(event):
            return
        subject = fingerprint(event)
        if subject in self._reported or subject in self._excused:
            return
        if former_fingerprint(event) in self._reported:
            return
        near = grounds.hours_near(event.received_at)
        full = [hour for hour in near if self._an_hour[hour] >= MAX_NEW_PER_HOUR]
        if full and not self._digests.intersection(full):
            # A former version took all errors of a full hour for seen.
            self._excused.add(subject)
            self._unreported.pop(subject, None)
        elif not full:
            self._unreported.setdefault(subject, event.event_id)

    def wrong(self) -> Iterator[tuple[str, str]]:
        for subject, event_id in sorted(self._unreported.items()):
            yield f"{subject} of the event {event_id}", MISSING
        if len(self._reported) + len(self._unreported) + len(self._excused) > MAX_FINGERPRINTS:
            return  # those not seen for longest are forgotten, and new again
        for subject, times in self._reported.items():
            for before, after in pairwise(sorted(times)):
                if after - before <= NEW_AFTER_MS * 1_000:
                    yield subject, "was raised twice within 30 days"


def _by_site(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, Iterator[Row[Any]]]]:
    """Yield each site with its rows, which are to be read before the next site is asked for."""
    for site_id, some in groupby(rows, key=lambda row: str(row.site_id)):
        yield (site_id,), some


def _events_of(scope: Scope, kind: str) -> Select[Any]:
    query = select(*(_EVENTS.columns[name] for name in EVENT_COLUMNS))
    return scope.of_sites(query, _EVENTS).where(_EVENTS.c.type == kind).order_by(_EVENTS.c.site_id)


def _alerts_of(scope: Scope) -> Select[Any]:
    return scope.of_sites(select(_ALERTS), _ALERTS).order_by(_ALERTS.c.site_id)


def _grounds_query(scope: Scope) -> Select[Any]:
    """Return the query for all alerts but those of payments, each with its events."""
    names = (name for name in EVENT_COLUMNS if name not in _ALERTS.columns)
    is_named = and_(
        _EVENTS.c.event_id == _ALERTS.c.event_id, _EVENTS.c.site_id == _ALERTS.c.site_id
    )
    query = _alerts_of(scope).add_columns(*(_EVENTS.columns[name] for name in names))
    query = query.join_from(_ALERTS, _EVENTS, is_named, isouter=True)
    return query.where(~_IS_PAYMENT).order_by(_ALERTS.c.alert_id)
