"""Candidate paths: paths beyond the limit that get a row once a second session leaves them."""

from hashlib import blake2b

#: Hash buckets, each with the last paths.
BUCKETS = 512
_PER_BUCKET = 4
#: Bytes of the hashes of a path and of a session.
_PATH_BYTES = 4
_SESSION_BYTES = 2
_ENTRY_BYTES = _PATH_BYTES + _SESSION_BYTES
_BUCKET_BYTES = _PER_BUCKET * _ENTRY_BYTES


class CandidatePaths:
    """The last paths, each with the session that left it first, in 12 kB.

    It is a deterministic function of the leaves and their order, and part of a state, so that it
    has the same content after a replay.
    """

    def __init__(self, packed: bytes | None = None) -> None:
        """Restore it from the result of `packed`; None creates an empty one."""
        self._entries = bytearray(packed or BUCKETS * _BUCKET_BYTES)

    def is_confirmed(self, path: str, session_id: str) -> bool:
        """Return True if another session left the path before; otherwise remember this session."""
        hashed = blake2b(path.encode(), digest_size=8).digest()
        begin = int.from_bytes(hashed[_PATH_BYTES:], "big") % BUCKETS * _BUCKET_BYTES
        bucket = bytes(self._entries[begin : begin + _BUCKET_BYTES])
        entry = hashed[:_PATH_BYTES] + _hash_of(session_id)
        for at in range(0, _BUCKET_BYTES, _ENTRY_BYTES):
            known = bucket[at : at + _ENTRY_BYTES]
            if known[:_PATH_BYTES] == entry[:_PATH_BYTES]:
                return known != entry
        self._entries[begin : begin + _BUCKET_BYTES] = entry + bucket[:-_ENTRY_BYTES]
        return False

    def packed(self) -> bytes:
        """Return it as bytes."""
        return bytes(self._entries)


def _hash_of(session_id: str) -> bytes:
    return blake2b(session_id.encode(), digest_size=_SESSION_BYTES).digest()
