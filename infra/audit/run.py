"""The audit: compare, and compare again what differs, until nothing does or time is up.

While the pipeline runs, an event may be stored a moment before the session that it belongs to.
Such a row is right at the next comparison; one that is wrong is not.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from sqlalchemy import func, select

from infra.audit import alerts, durations, sessions
from infra.audit.difference import MOST_KEPT, Findings
from infra.audit.scope import Scope
from infra.audit.snapshot import Snapshot, read_snapshot
from schemas.settings import Settings
from sinks.sql.tables import EventRow, table_of
from streams.domain.sessions import SessionRules

#: With more keys than this, the whole table is compared again.
_MOST_KEYS = 500
_PAUSE_SECONDS = 1.0

Comparison = Callable[[Snapshot, Scope], Findings]


async def audit(
    settings: Settings,
    settle_seconds: float,
    seen: Callable[[int], None],
    settling: Callable[[int], None],
) -> list[Findings]:
    """Return the result of comparing each table.

    `seen` gets the number of rows of `events` that were read, `settling` the number of rows that
    differ and are compared again.
    """
    comparisons = _comparisons(settings)
    found = await _compare(settings, comparisons, dict.fromkeys(comparisons, Scope()), seen)
    deadline = time.monotonic() + settle_seconds
    while (open_ones := {t: f for t, f in found.items() if f.differing}) and (
        time.monotonic() < deadline
    ):
        settling(sum(findings.differing for findings in open_ones.values()))
        await asyncio.sleep(_PAUSE_SECONDS)
        scopes = {table: _again(findings) for table, findings in open_ones.items()}
        again = await _compare(settings, comparisons, scopes, lambda _: None)
        for table, findings in again.items():
            _narrow(found[table], findings)
    return list(found.values())


async def count_events(settings: Settings) -> int:
    """Return how many rows of `events` an audit reads: some are read for several tables."""

    def count(snapshot: Snapshot) -> int:
        table = table_of(EventRow)
        query = select(
            func.count()
            + func.count().filter(table.c.type == "pageleave", table.c.duration_ms >= 0)
            + func.count().filter(table.c.type.in_(("payment", "error")))
        ).select_from(table)
        return int(snapshot.connection.execute(query).scalar_one())

    return await read_snapshot(settings.database, count, lambda _: None)


def rules_of(settings: Settings) -> SessionRules:
    """Return the rules of sessions, as the settings have them."""
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
    seen: Callable[[int], None],
) -> dict[str, Findings]:
    """Compare tables as they are at one moment."""

    def work(snapshot: Snapshot) -> dict[str, Findings]:
        return {table: comparisons[table](snapshot, scope) for table, scope in scopes.items()}

    return await read_snapshot(settings.database, work, seen)


def _again(findings: Findings) -> Scope:
    keys = findings.keys
    return Scope(keys=keys) if _is_all(findings) and len(keys) <= _MOST_KEYS else Scope()


def _narrow(found: Findings, again: Findings) -> None:
    """Keep of `found` what differs `again`, as it was then."""
    if not (_is_all(found) and _is_all(again)):
        found.differing, found.differences = again.differing, again.differences
        return
    rows = {(difference.key, difference.row) for difference in found.differences}
    found.differences = [one for one in again.differences if (one.key, one.row) in rows]
    found.differing = len(found.differences)


def _is_all(findings: Findings) -> bool:
    return findings.differing <= MOST_KEPT
