"""The versions of restored states, kept as long as a record of an older version can follow."""

#: The minimum number of latest keys that are kept.
_MIN_KEYS = 250_000


class Versions:
    """The version of the last state of each key, for at most twice `min_keys` keys.

    A write that was in flight when its writer lost the partition arrives seconds late, so only the
    latest keys matter. A changelog of a week may hold millions of deleted keys.
    """

    def __init__(self, min_keys: int = _MIN_KEYS) -> None:
        self._min_keys = min_keys
        self._newer: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def is_newest(self, key: bytes, version: int) -> bool:
        """Return True, and record the version, if the key has no newer version."""
        known = self._newer.get(key)
        if known is None:
            known = self._older.get(key, -1)
        if version < known:
            return False
        self._newer[key] = version
        if len(self._newer) > self._min_keys:
            self._older, self._newer = self._newer, {}
        return True
