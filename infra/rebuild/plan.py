"""What is to change so that a table and its topic are what `events` make: no I/O but reading."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from infra.audit import durations, sessions
from infra.audit.difference import micros
from infra.audit.scope import Key, Scope
from infra.audit.sessions import Folded
from infra.audit.snapshot import Snapshot
from infra.rebuild.changelog import Changelog, Held, Put
from infra.rebuild.standing import Standing
from schemas.codec import encode
from schemas.records import PageDuration, SessionState, Visit
from sinks.rows import duration_row
from sinks.sql.tables import PageDurationRow, table_of
from streams.domain import durations as duration_rules
from streams.domain import sessions as session_rules
from streams.domain.sessions import SessionRules

_DURATION_KEY = len(table_of(PageDurationRow).primary_key)

SqlRow = tuple[Any, ...]


@dataclass(slots=True)
class Change:
    """What one key needs: states for the topic, rows, and the keys of rows that go."""

    puts: list[Put] = field(default_factory=list)
    rows: list[SqlRow] = field(default_factory=list)
    gone: set[SqlRow] = field(default_factory=set)


Plan = Callable[[Snapshot, Scope, Standing, Changelog], Iterator[Change]]


def plan_sessions(rules: SessionRules) -> Plan:
    """Return what plans `sessions` and its topic."""

    def plan(
        snapshot: Snapshot, scope: Scope, standing: Standing, changelog: Changelog
    ) -> Iterator[Change]:
        for key, folds, rows in sessions.joined(snapshot, rules, scope, _now):
            held = changelog.take(key)
            revision = _next_revision(rows or (), held)
            change = Change()
            for fold in folds or ():
                _put_session(change, _at_revision(fold, revision), standing, held, rules)
            change.gone = {row[:1] for row in rows or ()} - {row[:1] for row in change.rows}
            _bury(change, held)
            yield change
        # A session may be active since a time by what is wrong in the topic alone: not judged.
        if scope.since is None:
            yield from _leftovers(changelog, scope)

    return plan


def plan_durations(
    snapshot: Snapshot, scope: Scope, standing: Standing, changelog: Changelog
) -> Iterator[Change]:
    """Plan `page_durations` and its topic: of each page one generation."""
    for key, pages, rows in durations.joined(snapshot, scope, _now):
        held = changelog.take(key)
        revision = _next_revision(rows or (), held)
        change = Change()
        for page in pages or ():
            _put_page(change, replace(page, revision=revision), standing, held)
        change.gone = {row[:_DURATION_KEY] for row in rows or ()}
        change.gone -= {row[:_DURATION_KEY] for row in change.rows}
        _bury(change, held)
        yield change
    yield from _leftovers(changelog, scope)


def about_session(state: SessionState) -> tuple[Key, int]:
    """Return the session of a state, and the highest revision of its visits."""
    revisions = (visit.revision for visit in state.visits)
    return (state.site_id, state.session_id), max(revisions, default=0)


def about_page(state: PageDuration) -> tuple[Key, int]:
    """Return the site and hour of a state, and its revision."""
    return (state.site_id, state.hour), state.revision


def _put_session(
    change: Change, fold: Folded, standing: Standing, held: Iterable[Held], rules: SessionRules
) -> None:
    """Add the rows of a session's visits, and its state if a worker is to have it.

    That is so while late events can reach it, or while a worker is yet to see events that it
    has applied; and where the topic has one, for it is to be replaced. A worker deletes it
    when its time comes.
    """
    upcoming = standing[fold.partition]
    state = session_rules.close_due(fold.state, upcoming.log_ms, rules)
    change.rows += Folded(fold.partition, state, fold.finished).rows()
    key = f"{state.site_id}:{state.session_id}".encode()
    if (
        session_rules.forget_due(state, upcoming.log_ms, rules).visits
        or state.src_offset >= upcoming.offset
        or _is_held(held, fold.partition, key)
    ):
        change.puts.append(Put(fold.partition, key, encode(state)))


def _put_page(change: Change, page: PageDuration, standing: Standing, held: Iterable[Held]) -> None:
    """Do the same for a page's hour."""
    upcoming = standing[page.partition]
    change.rows.append(duration_row(page))
    key = duration_rules.key_of(page.partition, page)
    if (
        duration_rules.deadline(page) >= upcoming.log_ms
        or page.src_offset >= upcoming.offset
        or _is_held(held, page.partition, key)
    ):
        change.puts.append(Put(page.partition, key, encode(page)))


def _is_held(held: Iterable[Held], partition: int, key: bytes) -> bool:
    return any((one.partition, one.key) == (partition, key) for one in held)


def _next_revision(rows: Iterable[SqlRow], held: Iterable[Held]) -> int:
    """Return a revision above all that rows and topic have: it wins, and later ones win over it."""
    known = [*(int(row[-1]) for row in rows), *(one.revision for one in held)]
    return 1 + max(known, default=0)


def _at_revision(fold: Folded, revision: int) -> Folded:
    def at(visits: Iterable[Visit]) -> list[Visit]:
        return [replace(visit, revision=revision) for visit in visits]

    state = replace(fold.state, visits=at(fold.state.visits))
    return Folded(fold.partition, state, at(fold.finished))


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


def _now(_partition: int) -> int:
    """Return the latest log time that an event can have had."""
    return int(time.time() * 1_000)
