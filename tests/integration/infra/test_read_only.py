"""Every role runs with a read-only file system and without root, as the image and the chart do."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import func, select

from headrace.local.broker.ports import free_port
from headrace.local.process import spawn, terminate
from sinks.sql.reader import open_reader
from sinks.sql.tables import EventRow, SessionRow
from tests.fixtures import debian
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ROLES = ("api", "streams", "live", "sinks", "query")
HEALTHCHECK = Path("infra/docker/healthcheck.py").resolve()
_START_SECONDS = 90
_STOP_SECONDS = 45


@pytest.fixture(scope="module")
def sandbox() -> list[str]:
    """Return the beginning of a command with a read-only file system, apart from /tmp."""
    if shutil.which("bwrap") is None:
        debian.install(("bubblewrap",), LookupError("the tests found no bwrap"))
    root = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108
    user = ["--unshare-user", "--uid", "10001", "--gid", "10001"]
    return ["bwrap", *root, *user, "--die-with-parent", "--chdir", "/", "--", sys.executable]


@pytest.fixture
def settings(kafka: str, postgres_url: str) -> dict[str, str]:
    """Return the settings of all roles: topics and tables of this test."""
    return {
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_KAFKA__TOPIC_PREFIX": f"read-only-{uuid4().hex[:8]}-",
        "HEADRACE_KAFKA__PARTITIONS": "2",
        "HEADRACE_DATABASE__URL": postgres_url,
        "HEADRACE_API__SITES": "open",
    }


class Role:
    """A role with a port of its own for health and metrics."""

    def __init__(self, command: list[str], settings: Mapping[str, str], log: Path) -> None:
        self.port, self._log = free_port(), log
        self._env = {**settings, "HEADRACE_API__PORT": str(self.port)}
        self._env["HEADRACE_METRICS__PORT"] = str(free_port())
        self._process = spawn(command, log=log, env={**os.environ, **self._env})

    def wait_ready(self) -> None:
        """Wait until the health check of the image succeeds."""

        def is_ready() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            checked = subprocess.run(
                [sys.executable, HEALTHCHECK], env=self._env, capture_output=True, check=False
            )
            return checked.returncode == 0

        eventually(is_ready, within_seconds=_START_SECONDS, what=f"{self._log.stem} is ready")

    def stop(self) -> int:
        """Stop the role as a container runtime does; return its exit code."""
        (*_, role) = [self._process.pid, *_descendants(self._process.pid)]
        os.kill(role, signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def end(self) -> None:
        """Kill the role if it still runs."""
        terminate(self._process, 0)


def _descendants(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@contextmanager
def running(
    sandbox: list[str], settings: Mapping[str, str], folder: Path
) -> Iterator[dict[str, Role]]:
    """Run all roles, and yield them when they are ready."""
    with ExitStack() as ends:
        roles = {}
        for name in ROLES:
            command = [*sandbox, "-m", "headrace", name]
            roles[name] = Role(command, settings, folder / f"{name}.log")
            ends.callback(roles[name].end)
        for role in roles.values():
            role.wait_ready()
        yield roles


async def _count(url: str) -> list[int | None]:
    """Return the numbers of events and of sessions in the database."""
    database = open_reader(url, 10)
    try:
        return await database.run(
            lambda connection: [
                connection.scalar(select(func.count()).select_from(row))
                for row in (EventRow, SessionRow)
            ]
        )
    finally:
        await database.close()


def test_every_role_runs_with_a_read_only_file_system(
    sandbox: list[str], settings: dict[str, str], tmp_path: Path
) -> None:
    """Also the commands of the job before them; an event gets into SQL, and all end in order."""
    for command in (["topics", "create"], ["db", "upgrade"]):
        prepared = subprocess.run(
            [*sandbox, "-m", "headrace", *command],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert prepared.returncode == 0, prepared.stderr
    with running(sandbox, settings, tmp_path) as roles:
        event = {"type": "pageview", "site_id": "shop", "session_id": "s1", "path": "/"}
        url = f"http://127.0.0.1:{roles['api'].port}/api/event"
        with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=20) as response:
            assert response.status == 202
        eventually(
            lambda: asyncio.run(_count(settings["HEADRACE_DATABASE__URL"])) == [1, 1],
            within_seconds=60,
            what="the event and its visit are in SQL",
        )
        codes = {name: role.stop() for name, role in roles.items()}

    logs = {name: (tmp_path / f"{name}.log").read_text() for name in ROLES}
    failed = {name: (code, logs[name]) for name, code in codes.items() if code}
    assert not failed, "\n".join(f"{name}: {code}\n{log}" for name, (code, log) in failed.items())
    assert "Read-only file system" not in "".join(logs.values())
