"""The versions of the states that a recovery has read, for as long as they can matter."""

#: Keys whose version is known at least: of what came before, writers are long at rest.
_REMEMBERED = 250_000


class Versions:
    """For each key the version of its last value; after twice the bound, the older half goes.

    A write that was on its way when its writer lost the partition lands seconds late. A log of
    a week may hold millions of keys that have been deleted since.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._newer: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def is_news(self, key: bytes, version: int) -> bool:
        """Tell whether the version is no older than that of the key's last value; note it then."""
        known = self._newer.get(key)
        if known is None:
            known = self._older.get(key, -1)
        if version < known:
            return False
        self._newer[key] = version
        if len(self._newer) > self._remembered:
            self._older, self._newer = self._newer, {}
        return True
