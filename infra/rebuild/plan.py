"""The changes that make a table and its topic what `events` say: no I/O but reading."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from infra.audit import durations, sessions
from infra.audit.difference import SqlRow
from infra.audit.scope import Key, Scope
from infra.audit.sessions import Folded
from infra.audit.snapshot import Snapshot
from infra.rebuild.changelog import Changelog, Held, Put
from infra.rebuild.standing import Standing
from schemas.codec import encode
from schemas.records import PageDuration, SessionState, Visit
from sinks.rows import duration_row
from sinks.sql.tables import PageDurationRow, SessionRow, table_of
from sinks.sql.types import micros
from streams.domain import durations as duration_rules
from streams.domain import sessions as session_rules
from streams.domain.sessions import SessionRules

_SESSION_KEY = len(table_of(SessionRow).primary_key)
_DURATION_KEY = len(table_of(PageDurationRow).primary_key)

M = TypeVar("M")


@dataclass(slots=True)
class Change:
    """What one key needs: states for the topic, rows, and the keys of rows to delete."""

    puts: list[Put] = field(default_factory=list)
    rows: list[SqlRow] = field(default_factory=list)
    gone: set[SqlRow] = field(default_factory=set)


#: A state that was computed: its put, its rows, and whether a worker is to have it.
Made = tuple[Put, list[SqlRow], bool]
Plan = Callable[[Snapshot, Scope, Standing, Changelog], Iterator[Change]]


def plan_sessions(rules: SessionRules) -> Plan:
    """Return what plans `sessions` and its topic."""

    def plan(
        snapshot: Snapshot, scope: Scope, standing: Standing, changelog: Changelog
    ) -> Iterator[Change]:
        def make(fold: Folded, revision: int) -> Made:
            return _session(fold, revision, standing, rules)

        yield from _changes(sessions.joined(snapshot, rules, scope), changelog, make, _SESSION_KEY)
        # A session may be active since a time by what is wrong in the topic alone: not judged.
        if scope.since is None:
            yield from _leftovers(changelog, scope)

    return plan


def plan_durations(
    snapshot: Snapshot, scope: Scope, standing: Standing, changelog: Changelog
) -> Iterator[Change]:
    """Plan `page_durations` and its topic: of each page one generation."""

    def make(page: PageDuration, revision: int) -> Made:
        return _page(replace(page, revision=revision), standing)

    yield from _changes(durations.joined(snapshot, scope), changelog, make, _DURATION_KEY)
    yield from _leftovers(changelog, scope)


def about_session(state: SessionState) -> tuple[Key, int]:
    """Return the session of a state, and the highest revision of its visits."""
    revisions = (visit.revision for visit in state.visits)
    return (state.site_id, state.session_id), max(revisions, default=0)


def about_page(state: PageDuration) -> tuple[Key, int]:
    """Return the site and hour of a state, and its revision."""
    return (state.site_id, state.hour), state.revision


def _changes(
    joined: Iterable[tuple[Key, list[M] | None, list[SqlRow] | None]],
    changelog: Changelog,
    make: Callable[[M, int], Made],
    key_columns: int,
) -> Iterator[Change]:
    for key, folded, rows in joined:
        held = changelog.take(key)
        # Above all that rows and topic have: it wins, and later ones win over it.
        known = [*(int(row[-1]) for row in rows or ()), *(one.revision for one in held)]
        revision = 1 + max(known, default=0)
        in_topic = {(one.partition, one.key) for one in held}
        change = Change()
        for one in folded or ():
            put, made, is_needed = make(one, revision)
            change.rows += made
            # A state that the topic has is replaced; a worker deletes it when its time comes.
            if is_needed or (put.partition, put.key) in in_topic:
                change.puts.append(put)
        change.gone = {row[:key_columns] for row in rows or ()}
        change.gone -= {row[:key_columns] for row in change.rows}
        _bury(change, held)
        yield change


def _session(fold: Folded, revision: int, standing: Standing, rules: SessionRules) -> Made:
    """Make the state and rows of a session.

    A worker needs it while late events can reach it, or while it is yet to see events that the
    state has applied.
    """

    def revised(visits: Iterable[Visit]) -> list[Visit]:
        return [replace(visit, revision=revision) for visit in visits]

    upcoming = standing[fold.partition]
    state = replace(fold.state, visits=revised(fold.state.visits))
    state = session_rules.close_due(state, upcoming.log_ms, rules)
    rows = Folded(fold.partition, state, revised(fold.finished)).rows()
    put = Put(fold.partition, f"{state.site_id}:{state.session_id}".encode(), encode(state))
    is_open = bool(session_rules.remove_due(state, upcoming.log_ms, rules).visits)
    return put, rows, is_open or state.src_offset >= upcoming.offset


def _page(page: PageDuration, standing: Standing) -> Made:
    """Make the state and row of a page's hour, as for a session."""
    upcoming = standing[page.partition]
    put = Put(page.partition, duration_rules.key_of(page.partition, page), encode(page))
    is_open = duration_rules.deadline(page) >= upcoming.log_ms
    return put, [duration_row(page)], is_open or page.src_offset >= upcoming.offset


def _bury(change: Change, held: Iterable[Held]) -> None:
    """Have the topic forget what no events make."""
    kept = {(put.partition, put.key) for put in change.puts}
    change.puts += [
        Put(one.partition, one.key, None) for one in held if (one.partition, one.key) not in kept
    ]


def _leftovers(changelog: Changelog, scope: Scope) -> Iterator[Change]:
    """Yield what to do with states that have neither events nor rows."""
    for key, held in changelog.rest():
        if not key or (scope.site is not None and key[0] != scope.site):
            continue
        if scope.since is not None and int(key[1]) < micros(scope.since):
            continue
        change = Change()
        _bury(change, held)
        yield change
