"""Compare the table `alerts` with the alerts computed from `events`.

Each payment has exactly one alert. Which error is new, or exceeds a limit, depends on the order
across partitions and on the broker's clock, which `events` does not have; only differences that
hold for any order are reported.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Row, Select, and_, select

from headrace.ops.audit import alert_check
from headrace.ops.audit.alert_check import EVENT_COLUMNS, to_event
from headrace.ops.audit.findings import MISSING, NOT_FROM_EVENTS, Findings, merge
from headrace.ops.audit.legacy_alerts import legacy_fingerprint
from headrace.ops.audit.scope import Key, Scope
from headrace.ops.audit.snapshot import Snapshot
from schemas.alert_rules import ERROR_NEW, PAYMENT
from schemas.records import RawEvent
from sinks.sql.tables import AlertRow, EventRow, table_of
from sinks.sql.types import micros
from streams.domain.alerts.aggregator import MAX_FINGERPRINTS
from streams.domain.alerts.alert import is_recent
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.new_errors import DIGEST, MAX_NEW_PER_HOUR, NEW_AFTER_MS

_ALERTS, _EVENTS = table_of(AlertRow), table_of(EventRow)
_HOUR_US = 3_600_000_000
_NEW_AFTER = timedelta(milliseconds=NEW_AFTER_MS)
#: The alerts of payments with an event id.
_IS_PAYMENT = and_(
    _ALERTS.c.rule == PAYMENT,
    _ALERTS.c.subscription_id.is_(None),
    _ALERTS.c.event_id.is_not(None),
)


def compare(snapshot: Snapshot, scope: Scope) -> Findings:
    """Compare `alerts` with `events`, as far as `events` determine them."""
    findings = Findings("alerts")
    _compare_payments(snapshot, scope, findings)
    _compare_others(snapshot, scope, findings)
    _compare_new_errors(snapshot, scope, findings)
    return findings


def _compare_payments(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Check that each recent payment has an alert, and that each payment alert has a payment."""
    payments = _events_of(scope, PAYMENT).order_by(_EVENTS.c.event_id, _EVENTS.c.session_id)
    found = _alerts_of(scope).where(_IS_PAYMENT).order_by(_ALERTS.c.event_id, _ALERTS.c.subject)
    expected_payments: Iterator[tuple[Key, RawEvent]] = (
        ((event.site_id, event.event_id, event.session_id), event)
        for event in map(to_event, snapshot.rows(payments, counted=True))
        if is_recent(event)
    )
    stored_payments: Iterator[tuple[Key, list[Row[Any]]]] = (
        (key, list(group))
        for key, group in groupby(
            snapshot.rows(found), key=lambda row: (row.site_id, row.event_id, row.subject)
        )
    )
    for key, event, rows in merge(expected_payments, stored_payments):
        for row in rows or ():
            if event is None and scope.may_lack_event(row.raised_at):
                continue
            problem = NOT_FROM_EVENTS if event is None else alert_check.check_payment(row, event)
            findings.add(key, f"{key[0]} {PAYMENT} {row.alert_id}", problem)
        if event is not None and not rows and not scope.may_lack_alert(event.event_ts):
            findings.add(key, f"{key[0]} {PAYMENT} of the event {event.event_id}", MISSING)


def _compare_others(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Check that the event of each other alert exists, and that the rule raises this alert."""
    rows = snapshot.rows(_others_query(scope))
    for alert_id, group in groupby(rows, key=lambda row: str(row.alert_id)):
        candidates = list(group)
        row = candidates[0]
        events = [to_event(other) for other in candidates if other.type is not None]
        if not events and (scope.may_lack_event(row.raised_at) or alert_check.is_erased(row)):
            continue
        findings.add(
            (row.site_id,), f"{row.site_id} {row.rule} {alert_id}", alert_check.check(row, events)
        )


def _compare_new_errors(snapshot: Snapshot, scope: Scope, findings: Findings) -> None:
    """Check that each error raised an alert, unless its site was over the hourly limit."""
    events = snapshot.rows(_events_of(scope, "error"), counted=True)
    found = snapshot.rows(
        _alerts_of(scope).where(_ALERTS.c.rule == ERROR_NEW, _ALERTS.c.subscription_id.is_(None))
    )
    for key, errors, reported in merge(_by_site(events), _by_site(found)):
        site = _SiteErrors(reported or ())
        for row in errors or ():
            if not scope.may_lack_alert(micros(row.event_ts), known_for=_NEW_AFTER):
                site.add(row)
        for name, problem in site.differences():
            findings.add(key, f"{key[0]} {ERROR_NEW} {name}", problem)


class _SiteErrors:
    """The errors of one site, and its alerts for new errors."""

    def __init__(self, reported: Iterable[Row[Any]]) -> None:
        self._reported: defaultdict[str, list[int]] = defaultdict(list)
        self._new_per_hour: Counter[int] = Counter()
        #: Hours with a digest: the errors over the limit were not marked as seen.
        self._digests: set[int] = set()
        for row in reported:
            raised_at = micros(row.raised_at)
            if row.subject == DIGEST:
                self._digests.add(raised_at // _HOUR_US - 1)
                continue
            self._reported[row.subject].append(raised_at)
            self._new_per_hour[raised_at // _HOUR_US] += 1
        self._unreported: dict[str, str] = {}
        #: Fingerprints of errors that may have been over the limit.
        self._over_limit: set[str] = set()

    def add(self, row: Row[Any]) -> None:
        """Process an error of the site."""
        event = to_event(row)
        if not is_recent(event):
            return
        subject = fingerprint(event)
        if subject in self._reported or subject in self._over_limit:
            return
        if legacy_fingerprint(event) in self._reported:
            return
        hours = alert_check.hours_around(event.received_at)
        full = [hour for hour in hours if self._new_per_hour[hour] >= MAX_NEW_PER_HOUR]
        if full and not self._digests.intersection(full):
            # Earlier versions marked the errors over the limit as seen.
            self._over_limit.add(subject)
            self._unreported.pop(subject, None)
        elif not full:
            self._unreported.setdefault(subject, event.event_id)

    def differences(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the problem of each alert that is missing or was raised twice."""
        for subject, event_id in sorted(self._unreported.items()):
            yield f"{subject} of the event {event_id}", MISSING
        if len(self._reported) + len(self._unreported) + len(self._over_limit) > MAX_FINGERPRINTS:
            return  # the least recently seen fingerprints were evicted, and are new again
        for subject, times in self._reported.items():
            for before, after in pairwise(sorted(times)):
                if after - before <= NEW_AFTER_MS * 1_000:
                    yield subject, "was raised twice within 30 days"


def _by_site(rows: Iterable[Row[Any]]) -> Iterator[tuple[Key, Iterator[Row[Any]]]]:
    """Yield each site with its rows; read them before requesting the next site."""
    for site_id, group in groupby(rows, key=lambda row: str(row.site_id)):
        yield (site_id,), group


def _events_of(scope: Scope, kind: str) -> Select[Any]:
    query = select(*(_EVENTS.columns[name] for name in EVENT_COLUMNS))
    query = scope.filter_sites(query, _EVENTS).where(
        _EVENTS.c.type == kind, _EVENTS.c.excluded.is_(None)
    )
    return query.order_by(_EVENTS.c.site_id)


def _alerts_of(scope: Scope) -> Select[Any]:
    return scope.filter_sites(select(_ALERTS), _ALERTS).order_by(_ALERTS.c.site_id)


def _others_query(scope: Scope) -> Select[Any]:
    """Return the query for all alerts except those of payments, joined with their events."""
    names = (name for name in EVENT_COLUMNS if name not in _ALERTS.columns)
    is_named = and_(
        _EVENTS.c.event_id == _ALERTS.c.event_id, _EVENTS.c.site_id == _ALERTS.c.site_id
    )
    query = _alerts_of(scope).add_columns(*(_EVENTS.columns[name] for name in names))
    query = query.join_from(_ALERTS, _EVENTS, is_named, isouter=True)
    return query.where(~_IS_PAYMENT).order_by(_ALERTS.c.alert_id)
