"""The versions of restored states, for as long as an older one can follow."""

#: How many of the latest keys are remembered at least.
_REMEMBERED = 250_000


class Versions:
    """The version of the last state of each key; beyond twice the bound, older keys are dropped.

    A write in flight while its writer lost the partition arrives seconds late, so that only the
    latest keys matter. A changelog of a week may hold millions of deleted keys.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._newer: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def is_newest(self, key: bytes, version: int) -> bool:
        """Return True, and record the version, if no newer one of the key was seen."""
        known = self._newer.get(key)
        if known is None:
            known = self._older.get(key, -1)
        if version < known:
            return False
        self._newer[key] = version
        if len(self._newer) > self._remembered:
            self._older, self._newer = self._newer, {}
        return True
