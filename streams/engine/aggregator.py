"""The protocol of aggregators: the keyed state of one partition."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from schemas.headers import Source
from schemas.records import RawEvent

S_contra = TypeVar("S_contra", contravariant=True)


class Aggregator(Protocol[S_contra]):
    """Applies the events of one partition to its keyed states, in order.

    The engine restores it after each assignment. For each batch, the engine calls `evict` first,
    `advance` for each record, and `flush` last; the agent calls `add` for each event.
    """

    def restore(self, key: bytes, state: S_contra) -> None:
        """Restore a state after an assignment."""

    def evict(self, limit: int, ceiling_ms: int | None = None) -> int:
        """Begin a batch: evict the states beyond `limit`, and return how many.

        `ceiling_ms` is the upper limit of the timestamps in states; None if it is unknown.
        """

    def advance(self, src: Source) -> bool:
        """Advance stream time, for each event and punctuation record.

        Return True if more states may be due: it is then called again.
        """

    def add(self, event: RawEvent, src: Source) -> object:
        """Apply an event unless it was applied before. If this raises, it is dead-lettered."""

    def flush(self) -> Iterable[tuple[bytes, Any]]:
        """End a batch; return its remaining outputs as key and record (None: a tombstone)."""


@runtime_checkable
class Erasing(Protocol):
    """An aggregator whose states can be erased by key."""

    def erase(self, key: bytes, src: Source, visit_ids: Sequence[str] = ()) -> None:
        """Apply an erasure: publish a state without results, and delete it later.

        `visit_ids` are the results to retract, in addition to those in the state.
        """
