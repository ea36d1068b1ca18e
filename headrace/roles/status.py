"""Status files, by which the roles of one machine report their readiness and counters."""

import logging
import time
from pathlib import Path

import msgspec

from headrace.local import disk_space

log = logging.getLogger(__name__)

#: After this time without an update, a role counts as unresponsive.
STALE_SECONDS = 5.0


class RoleStatus(msgspec.Struct, frozen=True):
    """The status of a role, with counters since its start."""

    #: Why the role is not ready, as a sentence; None if it is ready.
    not_ready: str | None
    dead_letters: int
    #: States evicted because their table was full.
    evicted: int
    #: The time of the update (Unix time, s).
    at: float
    #: Dead letters that operators discarded, if the role counts them.
    discarded: int = 0
    #: How far Kafka's clock is ahead of the role's (s); negative if it is behind.
    clock_deviation: float = 0.0
    #: Records of the role's source topic that expired before it read them.
    expired: int = 0


class StatusFile:
    """The status file of this process. Write errors are logged, not raised."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problem: str | None = None

    def write(self, status: RoleStatus) -> None:
        """Write the status; log when writes start to fail and when they work again."""
        try:
            disk_space.write_atomically(self._path, msgspec.json.encode(status).decode())
        except OSError as error:
            problem = disk_space.explain(error, self._path.parent)
            if problem != self._problem:
                log.warning("The status file cannot be written: %s", problem)
            self._problem = problem
        else:
            if self._problem is not None:
                log.info("The status file can be written again")
            self._problem = None


def read_status(path: Path) -> RoleStatus | None:
    """Return the content of a status file; None if it is missing or invalid."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RoleStatus)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def expired_of(path: Path) -> int:
    """Return the number of expired records in a status file; 0 without one."""
    status = read_status(path)
    return 0 if status is None else status.expired


def is_fresh(path: Path) -> bool:
    """Return True if a status file was updated within `STALE_SECONDS`."""
    status = read_status(path)
    return status is not None and time.time() - status.at <= STALE_SECONDS


def why_not_ready(path: Path) -> str | None:
    """Return why the role of a status file is not ready, as a sentence; None if it is ready."""
    role, status = path.stem, read_status(path)
    if status is None:
        return f"{role} is starting"
    age = time.time() - status.at
    if age > STALE_SECONDS:
        return f"{role} has not updated its status for {age:.0f} s"
    return status.not_ready
