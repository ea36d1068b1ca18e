"""What a role says of itself to the others of one machine: a small file, renewed all the time."""

import time
from pathlib import Path

import msgspec

#: A role that has not renewed its file for so long is dead, frozen or hopelessly busy.
STALE_SECONDS = 5.0


class RoleStatus(msgspec.Struct, frozen=True):
    """What a role says: why it is not ready (None: it is), and when (s).

    And what it counted since it started: dead letters, and states that left early.
    """

    not_ready: str | None
    dead_letters: int
    left_early: int
    at: float


def write_status(path: Path, not_ready: str | None, dead_letters: int, left_early: int) -> None:
    """Renew the file, whole or not at all."""
    status = RoleStatus(not_ready, dead_letters, left_early, time.time())
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(status))
    unfinished.replace(path)


def read_status(path: Path) -> RoleStatus | None:
    """Return what the role of this file said last; None when there is nothing to be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RoleStatus)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


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
