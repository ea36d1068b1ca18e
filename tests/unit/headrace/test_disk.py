"""Detection of full disks, and atomic writes."""

import errno
import logging
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local.disk_space import (
    DiskSpace,
    explain,
    find_full_disk,
    full_message,
    is_full,
    write_atomically,
)
from headrace.roles.status import RoleStatus, StatusFile


@pytest.mark.parametrize(
    ("number", "is_full_disk"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EROFS, False),
        (errno.EACCES, False),
        (errno.EIO, False),
    ],
)
def test_a_full_disk_or_quota_is_detected(number: int, is_full_disk: bool) -> None:
    """Also as the cause of another error."""
    error = OSError(number, "x", "/data/run/web.pid")
    wrapped = UserError("cannot be written")
    wrapped.__cause__ = error

    assert is_full(error) is is_full_disk
    assert is_full(wrapped) is is_full_disk
    assert (explain(error, Path("/data")) == full_message(Path("/data"))) is is_full_disk


def test_the_message_names_the_file_and_the_reason(tmp_path: Path) -> None:
    """For errors other than a full disk."""
    error = OSError(errno.EROFS, "x", "/data/run/web.pid")

    assert explain(error, tmp_path) == "/data/run/web.pid cannot be written: Read-only file system"


def test_the_probe_file_is_removed(tmp_path: Path) -> None:
    """A missing folder is not a full disk."""
    assert find_full_disk(tmp_path, always_probe=True) is None
    assert list(tmp_path.iterdir()) == []
    assert find_full_disk(tmp_path / "none", always_probe=True) is None


def test_a_full_disk_may_explain_errors_of_the_next_minute(tmp_path: Path) -> None:
    """A process may exit some time after its write failed."""
    now = [0.0]
    space = DiskSpace(tmp_path, lambda: now[0])
    other = UserError("the broker has exited")
    assert not space.may_explain(other)
    assert space.may_explain(OSError(errno.ENOSPC, "x"))

    now[0] = 59.0
    assert space.may_explain(other)
    now[0] = 61.0
    assert not space.may_explain(other)


def test_a_failed_atomic_write_leaves_no_file(tmp_path: Path) -> None:
    """Here the target is a directory."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "file", "text")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_atomically(tmp_path / "new" / "file", "text")
    assert (tmp_path / "new" / "file").read_text() == "text"


def test_write_errors_of_a_status_file_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And once when a write succeeds again."""
    caplog.set_level(logging.INFO, "headrace.roles.status")
    folder = tmp_path / "run"
    folder.touch()
    file = StatusFile(folder / "sinks.json")
    for _ in range(3):
        file.write(RoleStatus(None, 0, 0, 0.0))
    folder.unlink()
    file.write(RoleStatus(None, 0, 0, 0.0))

    (failed, again) = (record.getMessage() for record in caplog.records)
    assert failed.startswith("The status file cannot be written: ")
    assert again == "The status file can be written again"
    assert (folder / "sinks.json").exists()
