"""A table in memory, for the rules: staged writes, which a crash loses, and what is stored."""

from typing import Generic, TypeVar

from schemas.codec import decode, encode
from schemas.records import Record

S = TypeVar("S", bound=Record)


class FakeStates(Generic[S]):
    """The states of one partition, as `streams.domain.states.States` wants them.

    States are kept encoded, so that none is changed in place, and `published` has all that
    were ever written, in order: what consumers of the table's topic read.
    """

    def __init__(self, record_type: type[S]) -> None:
        self._record_type = record_type
        self._stored: dict[bytes, bytes] = {}
        self.staged: dict[bytes, S | None] = {}
        self._before: list[tuple[bytes, S | None]] = []
        self.published: list[tuple[bytes, S]] = []
        self.applied_until = -1
        self._recovered_until = -1

    def __len__(self) -> int:
        """Return how many there were when the batch began."""
        return len(self._stored)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key had a state when the batch began."""
        return key in self._stored

    def get(self, key: bytes) -> S | None:
        """Return the state of a key as this batch has it so far."""
        if key in self.staged:
            return self.staged[key]
        stored = self._stored.get(key)
        return None if stored is None else decode(stored, self._record_type)

    def put(self, key: bytes, state: S) -> None:
        """Stage a state."""
        self.staged[key] = state

    def delete(self, key: bytes) -> None:
        """Stage a tombstone; an error when this batch changed the key, as in the engine."""
        assert key not in self.staged, f"{key!r} was changed and deleted in one batch"
        self.staged[key] = None

    def is_changed(self, key: bytes) -> bool:
        """Tell whether this batch changed the key."""
        return key in self.staged

    def publish(self, key: bytes) -> None:
        """Have the staged state of a key written before its next one."""
        self._before.append((key, self.staged[key]))

    def stored(self) -> dict[bytes, S]:
        """Return what is written."""
        return {key: decode(value, self._record_type) for key, value in self._stored.items()}

    def recovered(self) -> dict[bytes, S]:
        """Return what a worker finds that takes over now."""
        self.applied_until = self._recovered_until
        return self.stored()

    def write(self, limit: int | None = None) -> None:
        """Write what is staged, or its first `most`, the rest being lost: a crash in mid-write."""
        for key, state in [*self._before, *self.staged.items()][:limit]:
            if state is None:
                self._stored.pop(key, None)
                self._recovered_until = max(self.applied_until, self._recovered_until)
            else:
                self._stored[key] = encode(state)
                self.published.append((key, state))
        self.staged.clear()
        self._before.clear()
