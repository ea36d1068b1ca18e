"""Run an audit: compare all rows, then those that differ again, until none differs or a timeout.

While the pipeline runs, an event may be stored before its session. Such rows match in a later
comparison; wrong rows still differ.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from sqlalchemy import func, select

from headrace.ops.audit import alerts, durations, sessions
from headrace.ops.audit.findings import MAX_DIFFERENCES, Findings
from headrace.ops.audit.scope import Scope
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from schemas.settings import Settings
from sinks.sql.retention import horizons
from sinks.sql.tables import EventRow, table_of
from streams.domain.sessions.rules import SessionRules

#: If more keys than this differ, the whole table is compared again.
_MAX_KEYS = 500
_RETRY_SECONDS = 1.0

Comparison = Callable[[Snapshot, Scope], Findings]


async def audit(
    settings: Settings,
    settle_seconds: float,
    on_rows: Callable[[int], None],
    on_retry: Callable[[int], None],
) -> list[Findings]:
    """Compare each table with `events`, again for up to `settle_seconds`; return the findings.

    `on_rows` is called with the number of rows of `events` that were read, `on_retry` with the
    number of rows that differ and are compared again.
    """
    comparisons = _comparisons(settings)
    found = await _compare(settings, comparisons, dict.fromkeys(comparisons, Scope()), on_rows)
    deadline = time.monotonic() + settle_seconds
    while (differing := {t: f for t, f in found.items() if f.differing}) and (
        time.monotonic() < deadline
    ):
        on_retry(sum(findings.differing for findings in differing.values()))
        await asyncio.sleep(_RETRY_SECONDS)
        scopes = {table: _retry_scope(findings) for table, findings in differing.items()}
        again = await _compare(settings, comparisons, scopes, lambda _: None)
        for table, findings in again.items():
            _narrow(found[table], findings)
    return list(found.values())


async def count_events(settings: Settings) -> int:
    """Return how many rows of `events` an audit reads; rows read for two tables count twice."""

    def count(snapshot: Snapshot) -> int:
        table = table_of(EventRow)
        query = select(
            func.count()
            + func.count().filter(table.c.type == "pageleave", table.c.duration_ms >= 0)
            + func.count().filter(table.c.type.in_(("payment", "error")))
        ).where(table.c.excluded.is_(None))
        return int(snapshot.connection.execute(query).scalar_one())

    return await read_snapshot(settings.database, count, lambda _: None)


def rules_of(settings: Settings) -> SessionRules:
    """Return the session rules of the settings."""
    session = settings.session
    return SessionRules.of_seconds(
        session.gap_seconds, session.lateness_seconds, session.retention_seconds
    )


def _comparisons(settings: Settings) -> dict[str, Comparison]:
    rules = rules_of(settings)
    return {
        "sessions": lambda snapshot, scope: sessions.compare(snapshot, rules, scope),
        "page_durations": durations.compare,
        "alerts": alerts.compare,
    }


async def _compare(
    settings: Settings,
    comparisons: Mapping[str, Comparison],
    scopes: Mapping[str, Scope],
    on_rows: Callable[[int], None],
) -> dict[str, Findings]:
    """Compare tables in one snapshot."""

    def compare_all(snapshot: Snapshot) -> dict[str, Findings]:
        purged = horizons(snapshot.connection)
        return {
            table: comparisons[table](snapshot, scope._replace(purged=purged))
            for table, scope in scopes.items()
        }

    return await read_snapshot(settings.database, compare_all, on_rows)


def _retry_scope(findings: Findings) -> Scope:
    keys = findings.keys
    return Scope(keys=keys) if _has_all(findings) and len(keys) <= _MAX_KEYS else Scope()


def _narrow(found: Findings, again: Findings) -> None:
    """Keep the differences that both comparisons found, as found by the second."""
    if not (_has_all(found) and _has_all(again)):
        found.differing, found.differences = again.differing, again.differences
        return
    rows = {(difference.key, difference.row) for difference in found.differences}
    found.differences = [one for one in again.differences if (one.key, one.row) in rows]
    found.differing = len(found.differences)


def _has_all(findings: Findings) -> bool:
    return findings.differing <= MAX_DIFFERENCES
