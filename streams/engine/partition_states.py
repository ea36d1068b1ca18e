"""The states of one partition of a table, and the changes that a batch stages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from streams.engine import changelog_headers
from streams.engine.versions import Versions

S = TypeVar("S")

#: Memory of a state in addition to its key and value: objects and dictionary entries.
STATE_OVERHEAD_BYTES = 200


class PartitionStates(Generic[S]):
    """A mapping of keys to states with staged changes, which its table writes.

    States are kept encoded, which takes less memory.
    """

    def __init__(self, decode: Callable[[bytes], S]) -> None:
        self._decode = decode
        self._staged: dict[bytes, S | None] = {}
        self._published: list[tuple[bytes, S | None]] = []
        self.clear()

    def clear(self) -> None:
        """Drop all states."""
        self.stored: dict[bytes, bytes] = {}
        #: The decoded states of this batch, and those that the last batch wrote: the next events
        #: are often of the same keys.
        self._decoded: dict[bytes, S | None] = {}
        #: The memory of the stored states, including their overhead.
        self.size_bytes = 0
        #: The last input offset of the last writer.
        self.version = -1
        self._applied_until = -1
        #: Used while the partition is restored.
        self._versions = Versions()

    # -- called by aggregators

    def __len__(self) -> int:
        """Return the number of states at the start of the batch."""
        return len(self.stored)

    def __contains__(self, key: object) -> bool:
        """Return True if the key had a state at the start of the batch."""
        return key in self.stored

    @property
    def applied_until(self) -> int:
        """The source offset up to which all events were applied at the start of the batch.

        -1 if it is not known. Tombstones record it; it never decreases. Set it only when the
        changes up to the offset are written.
        """
        return self._applied_until

    @applied_until.setter
    def applied_until(self, offset: int) -> None:
        self._applied_until = max(offset, self._applied_until)

    def get(self, key: bytes) -> S | None:
        """Return the state of a key including staged changes, None if it has none."""
        if key in self._staged:
            return self._staged[key]
        if key in self._decoded:
            return self._decoded[key]
        stored = self.stored.get(key)
        if stored is None:
            return None
        state = self._decoded[key] = self._decode(stored)
        return state

    def put(self, key: bytes, state: S) -> None:
        """Stage a state."""
        self._staged[key] = state

    def delete(self, key: bytes) -> None:
        """Stage a tombstone; raises `RuntimeError` if this batch changed the key.

        The topic must have its last state first, because consumers ignore tombstones (design D5).
        """
        if key in self._staged:
            raise RuntimeError(f"{key!r} was changed and deleted in one batch")
        self._staged[key] = None

    def is_changed(self, key: bytes) -> bool:
        """Return True if this batch changed the key."""
        return key in self._staged

    def publish(self, key: bytes) -> None:
        """Write the staged state of a key even if it is replaced in the same batch."""
        self._published.append((key, self._staged[key]))

    # -- called by the table

    def take_staged(self) -> Sequence[tuple[bytes, S | None]]:
        """Return the staged changes, in order for each key, and clear them."""
        staged = [*self._published, *self._staged.items()]
        self._staged, self._published, self._decoded = {}, [], {}
        return staged

    def apply(
        self,
        written: Mapping[bytes, bytes | None],
        version: int,
        decoded: Sequence[tuple[bytes, S | None]] = (),
    ) -> None:
        """Apply changes that are in the changelog: encoded states, None for a tombstone.

        `decoded` are the same states, which the next batch does not decode again.
        """
        self.version = version
        self._apply(written)
        self._decoded = dict(decoded)

    def recover(self, records: Iterable[Any]) -> None:
        """Apply records of the changelog: for each key, keep the state of the highest version."""
        newest: dict[bytes, bytes | None] = {}
        for record in records:
            key, value, version = record.key, record.value, changelog_headers.version_of(record)
            if value is None:
                self.applied_until = changelog_headers.applied_until(record)
            if self._versions.is_newest(key, version):
                self.version = max(version, self.version)
                newest[key] = value
        self._apply(newest)

    def end_recovery(self) -> None:
        """Free the memory that only restoration needs."""
        self._versions = Versions()

    def drop(self, key: bytes) -> None:
        """Drop the stored state of a key, if there is one."""
        self._apply({key: None})
        self._decoded.pop(key, None)

    def _apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        stored, size = self.stored, self.size_bytes
        for key, value in changes.items():
            old = stored.get(key)
            if value is not None:
                stored[key] = value
                size += len(value) - len(old) if old is not None else _size_of(key, value)
            elif old is not None:
                del stored[key]
                size -= _size_of(key, old)
        self.size_bytes = size


def _size_of(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + STATE_OVERHEAD_BYTES
