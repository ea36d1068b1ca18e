"""Exclusive locks on files."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO


def acquire(path: Path) -> IO[str]:
    """Lock a file in an existing directory, and write the id of this process to it.

    The lock is released when the returned file is closed or this process exits; forks do not hold
    it. Raises BlockingIOError if another process has the lock, OSError if the file cannot be
    created.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    # Otherwise the roles, which are forks of this process, would hold the lock after its exit.
    os.register_at_fork(after_in_child=file.close)
    with suppress(OSError):  # on a full disk; the id is only used in messages
        file.truncate(0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())
    return file
