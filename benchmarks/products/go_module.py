"""Builds a program of a Go module, once per machine and version.

The program is compiled in a copy of the module's source, so that its own `go.sum` holds.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.measure import PeerUnavailable
from headrace.local.broker.jars import cache_directory

#: One package at a time, because the compiler takes much memory.
_FLAGS = "-p=1 -mod=readonly"


class GoModule(NamedTuple):
    """A package of a module; an environment variable may name a program that is built already."""

    module: str
    version: str
    package: str
    variable: str
    #: Files that are added to the source, by their path in it.
    added: Mapping[str, Path] = MappingProxyType({})

    def program(self) -> Path:
        """Return the program; build it if it is missing. Raises `PeerUnavailable`."""
        if given := os.environ.get(self.variable):
            return Path(given)
        added = b"".join(map(Path.read_bytes, self.added.values()))
        digest = sha256(f"{self.module}@{self.version}".encode() + added).hexdigest()
        name = f"{self.variable.lower()}-{digest[:12]}"
        folder = cache_directory() / "peers"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / name).exists():
                self._build(folder / name)
        return folder / name

    def _build(self, target: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise PeerUnavailable("there is no `go` on the PATH")
        print(f"  building {self.module} {self.version} ...", flush=True)
        scratch = target.with_suffix(".partial")
        with TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            shutil.copytree(self._download(go, folder), source, copy_function=shutil.copyfile)
            for path, file in self.added.items():
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, source / path)
            build = (go, "build", "-o", str(scratch), self.package)
            if _run(build, source).returncode:
                raise PeerUnavailable(f"`go build` of {self.module} {self.version} failed")
        scratch.rename(target)

    def _download(self, go: str, folder: str) -> Path:
        """Return the module's source in Go's cache."""
        done = _run((go, "mod", "download", "-json", f"{self.module}@{self.version}"), Path(folder))
        if done.returncode:
            raise PeerUnavailable(f"Go's module proxy did not serve {self.module} {self.version}")
        return Path(json.loads(done.stdout)["Dir"])


def _run(command: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603
        ("nice", "-n", "19", *command),  # noqa: S607
        cwd=folder,
        env={**os.environ, "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} {_FLAGS}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr[-1_000:], flush=True)
    return done
