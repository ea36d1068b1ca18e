"""Wait while the disk is full, and retry what failed because of it."""

import time
from collections.abc import Callable
from typing import TypeVar

from headrace.errors import UserError
from headrace.local import disk_space
from headrace.local.data_dir import DataDir
from headrace.local.disk_space import DiskSpace
from headrace.up.start_screen import Screen

T = TypeVar("T")

#: Between two attempts while the disk is full.
RETRY_SECONDS = 1.0


class FullDisk:
    """The disk of a data directory; notifies when it becomes full and when it has space again."""

    def __init__(self, data_dir: DataDir, screen: Screen) -> None:
        self.space = DiskSpace(data_dir.root)
        #: Whether the disk was full at the last check.
        self.is_full = False
        self._root = data_dir.root
        self._screen = screen

    def check(self) -> None:
        """Check the disk, and notify if its state has changed."""
        problem = self.space.problem()
        if self.is_full != (problem is not None):
            self.is_full = problem is not None
            self._screen.notify(problem or "the disk has free space again")

    def retry(self, action: Callable[[], T]) -> T:
        """Call an action that writes files, and retry it while the disk is full."""
        while True:
            try:
                return action()
            except (OSError, UserError) as error:
                if self.space.may_explain(error):
                    self.wait_for_space(error)
                elif isinstance(error, OSError):
                    raise self.explain(error) from error
                else:
                    raise

    def explain(self, error: OSError) -> UserError:
        """Return the error for a file that cannot be written."""
        return UserError(disk_space.explain(error, self._root))

    def wait_for_space(self, error: Exception) -> None:
        """Wait until the disk has free space, and at least `RETRY_SECONDS`."""
        if disk_space.is_full(error) and not self.is_full:
            self.is_full = True
            self._screen.notify(disk_space.full_message(self._root))
        time.sleep(RETRY_SECONDS)
        while self.space.problem() is not None:
            time.sleep(RETRY_SECONDS)
