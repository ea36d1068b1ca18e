"""What differs between a table and what `events` says, and how two sorted streams are compared."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from infra.audit.scope import Key

E = TypeVar("E")
F = TypeVar("F")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)

#: Differences of one table that are kept; more are only counted.
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it must be: `what` says so in a sentence.

    `key` is what to look at again, `row` names the row for people.
    """

    table: str
    key: Key
    row: str
    what: str


@dataclass(slots=True)
class Findings:
    """What the comparison of one table came to."""

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
        """What is to be looked at again."""
        return frozenset(difference.key for difference in self.differences)


MISSING = "is missing"
NOT_FROM_EVENTS = "is there, though no events make it"


def first_difference(
    names: Sequence[str], expected: Sequence[object], found: Sequence[object]
) -> str | None:
    """Say which of the columns `names` differs first, and how; None when none does."""
    for name, wanted, has in zip(names, expected, found, strict=True):
        if wanted != has:
            return f"{name} is {_shown(has)}, not {_shown(wanted)}"
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


def micros(value: datetime) -> int:
    """Return a time in microseconds since 1970, as records and neutral rows have it."""
    return (value - _EPOCH) // _MICROS


def neutral(row: Iterable[Any]) -> tuple[Any, ...]:
    """Return a row as the database gave it in the values of `sinks.rows`."""
    return tuple(micros(value) if isinstance(value, datetime) else value for value in row)


def moment(at: int) -> datetime:
    """Return microseconds since 1970 as a time."""
    return _EPOCH + at * _MICROS


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes ({value[:8].hex()})"
    return "empty" if value is None else str(value)
