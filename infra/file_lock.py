"""Locks on files, for one process at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO


def acquire(path: Path) -> IO[str]:
    """Lock a file in a folder that exists, and write our process id into it.

    Closing the returned file releases the lock, and so does the end of this process, but not that
    of a fork. Raises BlockingIOError when another process has the lock, OSError when the file
    cannot be made.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    # The roles are forks of this process, and would keep the lock after its end.
    os.register_at_fork(after_in_child=file.close)
    with suppress(OSError):  # for messages alone, which a full disk may spoil
        file.truncate(0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())
    return file
