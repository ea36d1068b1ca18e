"""One `headrace up` has a data directory."""

from pathlib import Path

import pytest

from infra.data_dir import DataDir
from infra.errors import UserError
from infra.up_lock import lock


def test_a_second_up_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    """With the process that has it, and what to do."""
    held = lock(DataDir(tmp_path))
    with pytest.raises(UserError, match=r"already runs in .*process \d+.*--data-dir"):
        lock(DataDir(tmp_path))

    held.close()
    lock(DataDir(tmp_path)).close()


def test_a_lock_file_of_a_run_that_was_killed_is_no_lock(tmp_path: Path) -> None:
    """The system lets go of a lock with its process."""
    path = tmp_path / "run" / "up.lock"
    path.parent.mkdir()
    path.write_text("1\n")

    lock(DataDir(tmp_path)).close()
