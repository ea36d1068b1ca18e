"""The lock that allows one `headrace up` per data directory."""

from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local.data_dir import DataDir
from headrace.up.lock import lock


def test_a_second_up_is_rejected_until_the_first_has_exited(tmp_path: Path) -> None:
    """The error names the process and the option to use."""
    held = lock(DataDir(tmp_path))
    with pytest.raises(UserError, match=r"already runs in .*process \d+.*--data-dir"):
        lock(DataDir(tmp_path))

    held.close()
    lock(DataDir(tmp_path)).close()


def test_the_lock_file_of_a_killed_run_is_not_locked(tmp_path: Path) -> None:
    """The kernel releases a lock when its process exits."""
    path = tmp_path / "run" / "up.lock"
    path.parent.mkdir()
    path.write_text("1\n")

    lock(DataDir(tmp_path)).close()
