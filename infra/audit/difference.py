"""What differs between a table and what `events` says, and how two sorted streams are compared."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from infra.audit.scope import Key
from schemas.counted import counted
from sinks.sql.types import micros

E = TypeVar("E")
F = TypeVar("F")

#: A row in the neutral values of `sinks.rows`.
SqlRow = tuple[Any, ...]

#: Differences of one table that are kept; more are only counted.
MOST_KEPT = 10_000

MISSING = "is missing"
NOT_FROM_EVENTS = "is there, though no events make it"
#: What a rebuild changes once after an upgrade.
EARLIER_RULES = "is as an earlier version computed it"


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it must be: `what` says so in a sentence.

    `key` is what to compare again, `row` names the row for people.
    """

    table: str
    key: Key
    row: str
    what: str


@dataclass(slots=True)
class Findings:
    """The result of comparing one table."""

    table: str
    compared: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, key: Key, row: str, what: str | None) -> None:
        """Count a row that was compared; `what` says how it differs, None: it does not."""
        self.compared += 1
        if what is None:
            return
        self.differing += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(Difference(self.table, key, row, what))

    @property
    def keys(self) -> frozenset[Key]:
        """What to compare again."""
        return frozenset(difference.key for difference in self.differences)


def difference(
    names: Iterable[str], expected: Mapping[str, Any] | None, found: Mapping[str, Any] | None
) -> str | None:
    """Return how a row differs, by the first of the columns `names` that does; None: not at all."""
    if found is None:
        return MISSING
    if expected is None:
        return NOT_FROM_EVENTS
    for name in names:
        if expected[name] != found[name]:
            return f"{name} is {_shown(found[name])}, not {_shown(expected[name])}"
    return None


def merge(
    expected: Iterable[tuple[Key, E]], found: Iterable[tuple[Key, F]]
) -> Iterator[tuple[Key, E | None, F | None]]:
    """Yield each key of two streams, both sorted by it and with no key twice."""
    wanted, has = iter(expected), iter(found)
    left, right = next(wanted, None), next(has, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None  # noqa: S101 - for the type checker
            yield left[0], left[1], None
            left = next(wanted, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(has, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(wanted, None), next(has, None)


def rows_by_key(rows: Iterable[Iterable[Any]], *key: int) -> Iterator[tuple[Key, list[SqlRow]]]:
    """Group rows of a database, in neutral values, by the columns with the positions `key`."""
    neutral = (
        tuple(micros(value) if isinstance(value, datetime) else value for value in row)
        for row in rows
    )
    for found, some in groupby(neutral, key=itemgetter(*key)):
        yield found, list(some)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{counted(len(value), 'byte')} ({value[:8].hex()})"
    return "empty" if value is None else str(value)
