"""Differences between a table and its recomputation, and the merge join that finds them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from headrace.ops.audit.scope import Key
from schemas.plurals import counted
from sinks.sql.types import micros

E = TypeVar("E")
F = TypeVar("F")

#: A row with database-independent values, as in `sinks.rows`.
SqlRow = tuple[Any, ...]

#: Differences listed per table; further ones are only counted.
MAX_DIFFERENCES = 10_000

MISSING = "is missing"
NOT_FROM_EVENTS = "exists, but no events produce it"
#: Fixed by one rebuild after an upgrade.
EARLIER_RULES = "was computed by an earlier version"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs. `row` describes it, and `problem` completes the sentence.

    `key` identifies the group of rows to compare again.
    """

    table: str
    key: Key
    row: str
    problem: str


@dataclass(slots=True)
class Findings:
    """The result of comparing one table."""

    table: str
    compared: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, key: Key, row: str, problem: str | None) -> None:
        """Count a compared row; `problem` is None if it does not differ."""
        self.compared += 1
        if problem is None:
            return
        self.differing += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(Difference(self.table, key, row, problem))

    @property
    def keys(self) -> frozenset[Key]:
        """The keys to compare again."""
        return frozenset(difference.key for difference in self.differences)


def difference(
    names: Iterable[str], expected: Mapping[str, Any] | None, found: Mapping[str, Any] | None
) -> str | None:
    """Return the difference in the first of the columns `names` that differs; None if none does."""
    if found is None:
        return MISSING
    if expected is None:
        return NOT_FROM_EVENTS
    for name in names:
        if expected[name] != found[name]:
            return f"{name} is {_display(found[name])}, not {_display(expected[name])}"
    return None


def merge(
    expected: Iterable[tuple[Key, E]], found: Iterable[tuple[Key, F]]
) -> Iterator[tuple[Key, E | None, F | None]]:
    """Full outer merge join of two streams that are sorted by unique keys."""
    expected_items, found_items = iter(expected), iter(found)
    left, right = next(expected_items, None), next(found_items, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None  # noqa: S101 - for the type checker
            yield left[0], left[1], None
            left = next(expected_items, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(found_items, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(expected_items, None), next(found_items, None)


def rows_by_key(rows: Iterable[Iterable[Any]], *key: int) -> Iterator[tuple[Key, list[SqlRow]]]:
    """Convert rows to database-independent values, and group them by the columns at `key`."""
    neutral = (
        tuple(micros(value) if isinstance(value, datetime) else value for value in row)
        for row in rows
    )
    for found, group in groupby(neutral, key=itemgetter(*key)):
        yield found, list(group)


def _display(value: object) -> str:
    if isinstance(value, bytes):
        return f"{counted(len(value), 'byte')} ({value[:8].hex()})"
    return "empty" if value is None else str(value)
