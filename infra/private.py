"""Files of a data directory, readable by their owner only."""

import os
from contextlib import suppress
from pathlib import Path

#: What a process of ours may not give to others when it creates files.
UMASK = 0o077

#: In a data directory; all else there is somebody else's.
_DIRECTORIES = ("kafka", "logs", "run")
_FILES = ("headrace.db", "headrace.db-wal", "headrace.db-shm", "headrace.db-journal", "owner.token")


def restrict(data_dir: Path) -> None:
    """Take the rights of group and others away from what earlier versions left readable.

    The directory itself keeps its mode where it holds anything that is not headrace's.
    """
    ours = {*_DIRECTORIES, *_FILES}
    if all(entry.name in ours for entry in data_dir.iterdir()):
        _restrict(data_dir)
    for name in _FILES:
        if (file := data_dir / name).exists():
            _restrict(file)
    for name in _DIRECTORIES:
        restrict_tree(data_dir / name)


def restrict_tree(root: Path) -> None:
    """Do the same to a directory of ours and all in it; links are not followed."""
    for folder, _, files in os.walk(root):
        _restrict(Path(folder))
        for name in files:
            if not (file := Path(folder, name)).is_symlink():
                _restrict(file)


def _restrict(path: Path) -> None:
    # One that is not ours to change, or that a running process has removed.
    with suppress(PermissionError, FileNotFoundError):
        mode = path.stat().st_mode
        if mode & UMASK:
            path.chmod(mode & 0o7777 & ~UMASK)
