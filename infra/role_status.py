"""What a role says of itself to the others of one machine: a small file, renewed all the time."""

import logging
import time
from pathlib import Path

import msgspec

from infra import disk

log = logging.getLogger(__name__)

#: A role that has not renewed its file for so long is dead, frozen or hopelessly busy.
STALE_SECONDS = 5.0


class RoleStatus(msgspec.Struct, frozen=True):
    """What a role says: why it is not ready (None: it is), and when (s).

    And what it counted since it started: dead letters, and states that left early. `discarded` are
    the dead letters that operators have discarded, where the role counts them.
    """

    not_ready: str | None
    dead_letters: int
    left_early: int
    at: float
    discarded: int = 0
    #: How far Kafka's clock is ahead of the role's (s); negative if it is behind.
    clock_deviation: float = 0.0
    #: Records of the role's source that had expired unread when it started.
    expired: int = 0


class StatusFile:
    """The status file of this process. A disk that takes no writes is logged, not raised."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trouble: str | None = None

    def renew(self, status: RoleStatus) -> None:
        """Write the status; log when writing begins to fail and when it works again."""
        try:
            disk.write_whole(self._path, msgspec.json.encode(status).decode())
        except OSError as error:
            trouble = disk.explain(error, self._path.parent)
            if trouble != self._trouble:
                log.warning("The status file cannot be written: %s", trouble)
            self._trouble = trouble
        else:
            if self._trouble is not None:
                log.info("The status file is written again")
            self._trouble = None


def read_status(path: Path) -> RoleStatus | None:
    """Return what the role of this file said last; None when there is nothing to be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RoleStatus)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def expired_of(path: Path) -> int:
    """Return how many records had expired unread when the role of this file started."""
    status = read_status(path)
    return 0 if status is None else status.expired


def is_heard(path: Path) -> bool:
    """Tell whether the role of this file has renewed it lately."""
    status = read_status(path)
    return status is not None and time.time() - status.at <= STALE_SECONDS


def why_not_ready(path: Path) -> str | None:
    """Return why the role of this file is not ready, as a sentence; None when it is."""
    role, status = path.stem, read_status(path)
    if status is None:
        return f"{role} is starting"
    age = time.time() - status.at
    if age > STALE_SECONDS:
        return f"{role} has not been heard of for {age:.0f} s"
    return status.not_ready
