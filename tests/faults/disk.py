"""A small disk, a tmpfs, that tests fill and free."""

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
        """Use all free space."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_CHUNK)
            except OSError:
                return

    def free(self) -> None:
        """Free the space that `fill` used."""
        self._ballast.unlink()


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[Disk]:
    """Mount an empty disk; needs root."""
    path.mkdir()
    options = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield Disk(path)
    finally:
        # Lazy, because processes of a failed test may still use it.
        subprocess.run(["umount", "--lazy", path], check=True)
