"""File permissions of a data directory: only its owner can read it."""

import os
from contextlib import suppress
from pathlib import Path

#: The umask of all processes: no permissions for group and others.
UMASK = 0o077

#: The entries of a data directory that belong to headrace.
_DIRECTORIES = ("kafka", "logs", "run")
_FILES = (
    *("headrace.db", "headrace.db-wal", "headrace.db-shm", "headrace.db-journal"),
    *("owner.token", "secrets.key", "options.json"),
)


def restrict(data_dir: Path) -> None:
    """Remove the permissions of group and others, which earlier versions granted.

    The directory itself keeps its mode if it contains other files than those of headrace.
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
    """Remove the permissions of group and others in a directory tree; skip symbolic links."""
    for folder, _, files in os.walk(root):
        _restrict(Path(folder))
        for name in files:
            if not (file := Path(folder, name)).is_symlink():
                _restrict(file)


def _restrict(path: Path) -> None:
    # A file of another user, or one that a running process has removed.
    with suppress(PermissionError, FileNotFoundError):
        mode = path.stat().st_mode
        if mode & UMASK:
            path.chmod(mode & 0o7777 & ~UMASK)
