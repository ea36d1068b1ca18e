"""The roles as processes on a Kafka cluster, restarted as by systemd."""

import asyncio
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import aiohttp

from headrace.local import process
from headrace.local.broker.ports import LOOPBACK, free_port
from tests.fixtures.waiting import eventually_async

_log = logging.getLogger(__name__)

PARTITIONS = 6
_STOP_SECONDS = 30.0
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.5


class Roles:
    """`api`, `streams` and `sinks`; a role that exits is restarted and counted in `restarts`.

    `settings` are added to their environment.
    """

    def __init__(
        self,
        kafka: str,
        folder: Path,
        *,
        copies: int = 3,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.database = folder / "headrace.db"
        self.restarts: Counter[str] = Counter()
        self._port = free_port()
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._environment = {
            **os.environ,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
            "HEADRACE_KAFKA__REPLICATION_FACTOR": str(copies),
            "HEADRACE_KAFKA__MIN_INSYNC_REPLICAS": str(min(copies, 2)),
            "HEADRACE_DATABASE__URL": f"sqlite:///{self.database}",
            "HEADRACE_API__PORT": str(self._port),
            "HEADRACE_API__SITES": "open",
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """The URL of the API."""
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        for command in (["topics", "create"], ["db", "upgrade"]):
            assert self._spawn(command[0], *command).wait() == 0, self.log(command[0])
        for role in ("api", "streams", "sinks"):
            self._processes[role] = self._spawn(role, role)
        self._watching = asyncio.create_task(self._watch())
        await self.until_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watching is not None
        self._watching.cancel()
        for running in self._processes.values():
            await asyncio.to_thread(process.terminate, running, _STOP_SECONDS)
        _log.info("restarts of roles: %s", dict(self.restarts))

    def log(self, role: str) -> str:
        """Return the log of a role."""
        return (self._folder / f"{role}.log").read_text(errors="replace")

    def is_running(self, role: str) -> bool:
        """Return True if a role's first process is still running."""
        return self._processes[role].poll() is None and not self.restarts[role]

    def kill(self, role: str) -> None:
        """Kill a role with SIGKILL; it is restarted."""
        self._processes[role].kill()

    async def until_ready(self) -> None:
        """Wait until the API accepts events and the workers are ready."""
        await eventually_async(self._is_ready, within_seconds=_READY_SECONDS, what="roles ready")

    async def _is_ready(self) -> bool:
        workers = all("ready" in self.log(role) for role in ("streams", "sinks"))
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"{self.url}/readyz") as response,
            ):
                return workers and response.status == 200
        except aiohttp.ClientError:
            return False

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for role, running in self._processes.items():
                if running.poll() is not None:
                    self.restarts[role] += 1
                    self._processes[role] = self._spawn(role, role)

    def _spawn(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        return process.spawn(
            [sys.executable, "-m", "headrace", *command],
            log=self._folder / f"{log}.log",
            env=self._environment,
        )
