"""Compute the changes to a table and its changelog from `events`. Writes nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from headrace.ops.audit import durations, sessions
from headrace.ops.audit.findings import SqlRow
from headrace.ops.audit.scope import Key, Scope
from headrace.ops.audit.sessions import ComputedSession
from headrace.ops.audit.snapshot import Snapshot
from headrace.ops.rebuild.changelog import Changelog, Put, StateRef
from headrace.ops.rebuild.cluster import NextEvents
from schemas.codec import encode
from schemas.positions import epoch_of
from schemas.records import PageDuration, SessionState, Visit
from sinks.rows import duration_row
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from sinks.sql.types import micros
from streams.app import partitioner
from streams.domain.durations import rules as duration_rules
from streams.domain.sessions import rules as session_rules
from streams.domain.sessions.rules import SessionRules

_SESSION_KEY = len(table_of(SessionRow).primary_key)
_DURATION_KEY = len(table_of(PageDurationRow).primary_key)
_STARTED_AT = table_of(SessionRow).columns.keys().index("started_at")
_HOUR = table_of(PageDurationRow).columns.keys().index("hour")

M = TypeVar("M")
#: A key, what was computed for it, and its rows.
Joined = tuple[Key, list[M] | None, list[SqlRow] | None]


@dataclass(slots=True)
class Change:
    """The changes of one key: states to write, rows to write, and primary keys to delete."""

    key: Key
    puts: list[Put] = field(default_factory=list)
    rows: list[SqlRow] = field(default_factory=list)
    deleted: set[SqlRow] = field(default_factory=set)


#: A computed state: its write to the changelog, its rows, and whether workers still need it.
Computed = tuple[Put, list[SqlRow], bool]
Plan = Callable[[Snapshot, Scope, NextEvents, Changelog], Iterator[Change]]


def plan_sessions(rules: SessionRules) -> Plan:
    """Return the plan for `sessions` and its topic."""

    def plan(
        snapshot: Snapshot, scope: Scope, next_events: NextEvents, changelog: Changelog
    ) -> Iterator[Change]:
        def compute(session: ComputedSession, revision: int) -> Computed:
            return _session(session, revision, next_events, rules)

        complete_from = scope.complete_from(gap_us=rules.gap_us)

        def began(session: ComputedSession) -> int:
            return min(visit.started_at for visit in session.visits)

        groups = _complete(
            sessions.joined(snapshot, rules, scope), began, _STARTED_AT, complete_from
        )
        yield from _changes(groups, changelog, compute, _SESSION_KEY)
        # With a start time, a session without events is out of scope.
        if scope.since is None and scope.purged.events is None:
            yield from _orphans(changelog, scope)

    return plan


def plan_durations(
    snapshot: Snapshot, scope: Scope, next_events: NextEvents, changelog: Changelog
) -> Iterator[Change]:
    """Plan `page_durations` and its topic, with one generation per page."""

    def compute(page: PageDuration, revision: int) -> Computed:
        return _page(replace(page, revision=revision), next_events)

    erased = durations.erased_hours(snapshot)
    for key in erased:
        changelog.pop(key)
    joined = (one for one in durations.joined(snapshot, scope) if one[0] not in erased)
    groups = _complete(joined, lambda page: page.hour, _HOUR, scope.complete_from())
    yield from _changes(groups, changelog, compute, _DURATION_KEY)
    if scope.purged.events is None:
        yield from _orphans(changelog, scope)


def describe_session(state: SessionState) -> tuple[Key, int]:
    """Return the session of a state, and the highest revision of its visits."""
    revisions = (visit.revision for visit in state.visits)
    return (state.site_id, state.session_id), max(revisions, default=0)


def describe_page(state: PageDuration) -> tuple[Key, int]:
    """Return the site and hour of a state, and its revision."""
    return (state.site_id, state.hour), state.revision


def _complete(
    joined: Iterable[Joined[M]], began: Callable[[M], int], time_column: int, complete_from: int
) -> Iterator[Joined[M]]:
    """Leave out the keys whose events may have been purged, and their older rows."""
    for key, results, rows in joined:
        if all(began(result) >= complete_from for result in results or ()):
            left = [row for row in rows or () if row[time_column] >= complete_from]
            if results or left:
                yield key, results, left


def _changes(
    joined: Iterable[Joined[M]],
    changelog: Changelog,
    compute: Callable[[M, int], Computed],
    key_columns: int,
) -> Iterator[Change]:
    for key, results, rows in joined:
        states = changelog.pop(key)
        # Higher than those of all rows and states, so that the rebuilt ones win.
        revisions = [*(int(row[-1]) for row in rows or ()), *(one.revision for one in states)]
        revision = 1 + max(revisions, default=0)
        in_topic = {(one.partition, one.key) for one in states}
        change = Change(key)
        for result in results or ():
            put, result_rows, is_needed = compute(result, revision)
            change.rows += result_rows
            # A state in the topic is overwritten; a worker deletes it when it expires.
            if is_needed or (put.partition, put.key) in in_topic:
                change.puts.append(put)
        change.deleted = {row[:key_columns] for row in rows or ()}
        change.deleted -= {row[:key_columns] for row in change.rows}
        _add_tombstones(change, states)
        yield change


def _session(
    session: ComputedSession, revision: int, next_events: NextEvents, rules: SessionRules
) -> Computed:
    """Return the state and rows of a session.

    The workers need the state until it expires, and until they have read all events applied to it.
    """

    def revised(visits: Iterable[Visit]) -> list[Visit]:
        return [replace(visit, revision=revision) for visit in visits]

    partition = _partition_of(session.state, session.partition, next_events)
    next_event = next_events[partition]
    state = replace(session.state, visits=revised(session.state.visits))
    state = session_rules.close_due(state, next_event.log_ms, rules)
    rows = ComputedSession(session.partition, state, revised(session.removed)).rows()
    if not state.visits:  # that would be an erasure
        state = replace(state, visits=revised(session.removed[-1:]))
    put = Put(partition, f"{state.site_id}:{state.session_id}".encode(), encode(state))
    is_open = bool(session_rules.remove_due(state, next_event.log_ms, rules).visits)
    return put, rows, is_open or state.src_offset >= next_event.offset


def _partition_of(state: SessionState, partition: int, next_events: NextEvents) -> int:
    """Return the partition of a state whose last event was in `partition`.

    If that was in an earlier epoch, the topics may have had fewer partitions.
    """
    is_current = epoch_of(state.src_offset) == epoch_of(next_events[partition].offset)
    key = f"{state.site_id}:{state.session_id}".encode()
    return partition if is_current else partitioner(len(next_events))(key)


def _page(page: PageDuration, next_events: NextEvents) -> Computed:
    """Return the state and row of a page and hour. The workers need it as long as a session's."""
    next_event = next_events[page.partition]
    put = Put(page.partition, duration_rules.key_of(page.partition, page), encode(page))
    is_open = duration_rules.deadline(page) >= next_event.log_ms
    return put, [duration_row(page)], is_open or page.src_offset >= next_event.offset


def _add_tombstones(change: Change, states: Iterable[StateRef]) -> None:
    """Add tombstones for the states that the change does not write."""
    kept = {(put.partition, put.key) for put in change.puts}
    change.puts += [
        Put(one.partition, one.key, None) for one in states if (one.partition, one.key) not in kept
    ]


def _orphans(changelog: Changelog, scope: Scope) -> Iterator[Change]:
    """Yield tombstones for the states that have neither events nor rows."""
    for key, states in changelog.remaining():
        if not key or (scope.site is not None and key[0] != scope.site):
            continue
        if scope.since is not None and int(key[1]) < micros(scope.since):
            continue
        change = Change(key)
        _add_tombstones(change, states)
        yield change
