"""A full disk is told from other failures, and files are written whole or not at all."""

import errno
import logging
from pathlib import Path

import pytest

from infra.disk import Space, explain, is_full, sentence, why_full, write_whole
from infra.errors import UserError
from infra.role_status import RoleStatus, StatusFile


@pytest.mark.parametrize(
    ("number", "is_so"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EROFS, False),
        (errno.EACCES, False),
        (errno.EIO, False),
    ],
)
def test_only_a_disk_or_a_quota_is_full(number: int, is_so: bool) -> None:
    """What caused a sentence counts, too."""
    error = OSError(number, "x", "/data/run/web.pid")
    wrapped = UserError("cannot be written")
    wrapped.__cause__ = error

    assert is_full(error) is is_so
    assert is_full(wrapped) is is_so
    assert (explain(error, Path("/data")) == sentence(Path("/data"))) is is_so


def test_another_failure_names_the_file_and_why(tmp_path: Path) -> None:
    """In a sentence."""
    error = OSError(errno.EROFS, "x", "/data/run/web.pid")

    assert explain(error, tmp_path) == "/data/run/web.pid cannot be written: Read-only file system"


def test_a_disk_with_space_is_not_full_and_the_probe_leaves_nothing(tmp_path: Path) -> None:
    """Nor is a folder that is not there: that is another failure."""
    assert why_full(tmp_path, is_suspect=True) is None
    assert list(tmp_path.iterdir()) == []
    assert why_full(tmp_path / "none", is_suspect=True) is None


def test_what_fails_within_a_minute_of_a_full_disk_is_blamed_on_it(tmp_path: Path) -> None:
    """A process may end a while after a write of it failed."""
    now = [0.0]
    space = Space(tmp_path, lambda: now[0])
    other = UserError("the broker has ended")
    assert not space.explains(other)
    assert space.explains(OSError(errno.ENOSPC, "x"))

    now[0] = 59.0
    assert space.explains(other)
    now[0] = 61.0
    assert not space.explains(other)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Here its place is taken by a folder."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "file", "text")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_whole(tmp_path / "new" / "file", "text")
    assert (tmp_path / "new" / "file").read_text() == "text"


def test_a_status_file_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The role goes on; when it can be written again, it is, and that is logged, too."""
    caplog.set_level(logging.INFO, "infra.role_status")
    folder = tmp_path / "run"
    folder.touch()
    file = StatusFile(folder / "sinks.json")
    for _ in range(3):
        file.renew(RoleStatus(None, 0, 0, 0.0))
    folder.unlink()
    file.renew(RoleStatus(None, 0, 0, 0.0))

    (failed, again) = (record.getMessage() for record in caplog.records)
    assert failed.startswith("The status file cannot be written: ")
    assert again == "The status file is written again"
    assert (folder / "sinks.json").exists()
