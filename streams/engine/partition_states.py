"""The states of one partition of a table: as they were written, and as a batch changes them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from streams.engine import marks
from streams.engine.versions import Versions

S = TypeVar("S")


class PartitionStates(Generic[S]):
    """What the rules are given: a mapping of keys to states, whose changes are staged.

    States are kept encoded, which is small. The table it belongs to writes what is staged.
    """

    def __init__(self, decode: Callable[[bytes], S]) -> None:
        self._decode = decode
        #: Of this batch only.
        self._read: dict[bytes, S] = {}
        self._staged: dict[bytes, S | None] = {}
        self.forget()

    def forget(self) -> None:
        """Forget what was written, as if nothing ever was."""
        self.stored: dict[bytes, bytes] = {}
        #: How far in its input the last writer had come.
        self.version = -1
        self._applied_until = -1
        #: During recovery only.
        self._versions = Versions()

    # -- what rules call

    def __len__(self) -> int:
        """Return how many there were when the batch began."""
        return len(self.stored)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key had a state when the batch began."""
        return key in self.stored

    @property
    def applied_until(self) -> int:
        """How far in the source everything had had its effect when the batch began.

        -1 when nothing is known of it. Tombstones tell it: set it when all that it speaks of
        was written; it never goes back.
        """
        return self._applied_until

    @applied_until.setter
    def applied_until(self, offset: int) -> None:
        self._applied_until = max(offset, self._applied_until)

    def get(self, key: bytes) -> S | None:
        """Return the state of a key as this batch has it so far, or None."""
        if key in self._staged:
            return self._staged[key]
        if key in self._read:
            return self._read[key]
        stored = self.stored.get(key)
        if stored is None:
            return None
        state = self._read[key] = self._decode(stored)
        return state

    def put(self, key: bytes, state: S) -> None:
        """Stage a state; it is written when the outputs are."""
        self._staged[key] = state

    def delete(self, key: bytes) -> None:
        """Stage a tombstone; `RuntimeError` when this batch changed the key.

        Its last value must have been published, for consumers ignore tombstones (design D5).
        """
        if key in self._staged:
            raise RuntimeError(f"{key!r} was changed and deleted in one batch")
        self._staged[key] = None

    def is_changed(self, key: bytes) -> bool:
        """Tell whether this batch changed the key."""
        return key in self._staged

    # -- what the table calls

    def take_staged(self) -> Mapping[bytes, S | None]:
        """Return what was staged, and stage anew."""
        staged, self._staged, self._read = self._staged, {}, {}
        return staged

    def apply(self, written: Mapping[bytes, bytes | None], version: int) -> None:
        """Take in what was written to the changelog: encoded states, None for what is deleted."""
        self.version = version
        for key, value in written.items():
            self._apply(key, value)

    def recover(self, records: Iterable[Any]) -> None:
        """Take in records of the changelog: of each key the one whose writer knew most."""
        for record in records:
            key, value, version = record.key, record.value, marks.version_of(record)
            if value is None:
                self.applied_until = marks.applied_until(record)
            if self._versions.is_news(key, version):
                self.version = max(version, self.version)
                self._apply(key, value)

    def end_recovery(self) -> None:
        """Forget what only a recovery needs."""
        self._versions = Versions()

    def _apply(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value
