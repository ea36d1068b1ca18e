"""Roles that live but do not answer: frozen, or hopelessly busy."""

from collections.abc import Callable
from time import monotonic

#: A role that was heard of and then was not for so long is killed, to be started again.
LIMIT_SECONDS = 60.0


class Silence:
    """Notes when each role was heard of last."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}

    def is_too_long(self, role: str, *, heard: bool) -> bool:
        """Note whether a role was heard of now; True when it was not for too long.

        A role that was never heard of since its start is still starting. After True it begins
        anew.
        """
        now = self._clock()
        if heard:
            self._heard[role] = now
            return False
        if role not in self._heard or now - self._heard[role] <= LIMIT_SECONDS:
            return False
        del self._heard[role]
        return True
