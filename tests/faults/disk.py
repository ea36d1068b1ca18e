"""A small disk that a test fills and frees: a tmpfs of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK = bytes(64 * 1024)


class Disk:
    """The disk that is mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Take all the space that is left."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_CHUNK)
            except OSError:
                return

    def free(self) -> None:
        """Give back the space that was taken."""
        self._ballast.unlink()


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[Disk]:
    """Mount an empty disk; needs root, as a container's user is."""
    path.mkdir()
    options = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield Disk(path)
    finally:
        # Lazy: a test that failed may have left a process in it.
        subprocess.run(["umount", "--lazy", path], check=True)
