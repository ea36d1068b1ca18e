"""A keyed state in memory, with staged writes that a crash loses."""

from typing import Generic, TypeVar

from schemas.codec import decode, encode
from schemas.records import Record

S = TypeVar("S", bound=Record)


class FakeStates(Generic[S]):
    """The states of one partition, an implementation of `streams.domain.states.States`.

    States are kept encoded, and decoded for the next batch, as in the engine: none may be changed
    in place, and each must be equal to the one that another worker restores. `published` has all
    that were ever written, in order: what consumers of the table's topic read.
    """

    def __init__(self, record_type: type[S]) -> None:
        self._record_type = record_type
        self._stored: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, S] = {}
        self.staged: dict[bytes, S | None] = {}
        self._before: list[tuple[bytes, S | None]] = []
        #: Copies of the states published within the batch, and the states.
        self._as_published: list[tuple[S | None, S | None]] = []
        self.published: list[tuple[bytes, S]] = []
        self.applied_until = -1
        self._recovered_until = -1

    def __len__(self) -> int:
        """Return the number of states at the start of the batch."""
        return len(self._stored)

    def __contains__(self, key: object) -> bool:
        """Return True if the key had a state at the start of the batch."""
        return key in self._stored

    def get(self, key: bytes) -> S | None:
        """Return the state of a key, including changes of this batch."""
        if key in self.staged:
            return self.staged[key]
        if key in self._stored and key not in self._decoded:
            self._decoded[key] = decode(self._stored[key], self._record_type)
        return self._decoded.get(key)

    def put(self, key: bytes, state: S) -> None:
        """Stage a state."""
        self.staged[key] = state

    def delete(self, key: bytes) -> None:
        """Stage a tombstone. Raise an error if this batch changed the key, as the engine does."""
        assert key not in self.staged, f"{key!r} was changed and deleted in one batch"
        self.staged[key] = None

    def is_changed(self, key: bytes) -> bool:
        """Return True if this batch changed the key."""
        return key in self.staged

    def publish(self, key: bytes) -> None:
        """Write the staged state of a key as well as its next one."""
        state = self.staged[key]
        self._before.append((key, None if state is None else decode(encode(state), type(state))))
        self._as_published.append((self._before[-1][1], state))

    def stored(self) -> dict[bytes, S]:
        """Return the written states."""
        return {key: decode(value, self._record_type) for key, value in self._stored.items()}

    def recovered(self) -> dict[bytes, S]:
        """Return the states that the next worker restores."""
        self.applied_until = self._recovered_until
        return self.stored()

    def write(self, limit: int | None = None) -> None:
        """Write the staged states, or only the first `limit`, as before a crash."""
        for key, decoded in self._decoded.items():
            assert encode(decoded) == self._stored[key], f"{key!r} was changed in place"
        assert all(copy == state for copy, state in self._as_published)
        self._decoded.clear()
        self._as_published.clear()
        for key, state in [*self._before, *self.staged.items()][:limit]:
            if state is None:
                self._stored.pop(key, None)
                self._decoded.pop(key, None)
                self._recovered_until = max(self.applied_until, self._recovered_until)
            else:
                self._stored[key] = encode(state)
                assert decode(self._stored[key], self._record_type) == state
                self._decoded[key] = state
                self.published.append((key, state))
        self.staged.clear()
        self._before.clear()
