"""A whole headrace, started by its one command, and looked at as its users do."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, CursorResult, Executable

from infra.broker.ports import free_port
from sinks.sql.reader import open_reader
from tests.fixtures.waiting import eventually

#: Of each topic.
PARTITIONS = 4

_START_SECONDS = 90
_STOP_SECONDS = 60
#: Longer than a read of a role may take: tests read whole tables, on a busy machine.
_READ_SECONDS = 60


class Stack:
    """`headrace up` in a data directory of its own; `settings` are added to the environment."""

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        #: Added to the environment at each start, and that of roles started beside it.
        self.settings = dict(settings or {})
        self._options = options
        self._screen = data_dir.with_suffix(".screen")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it takes events."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def kafka(self) -> str:
        """The broker's address."""
        return (self.data_dir / "run" / "kafka.address").read_text().strip()

    @property
    def database(self) -> str:
        """The URL of its database."""
        local = f"sqlite:///{self.data_dir / 'headrace.db'}"
        return self.settings.get("HEADRACE_DATABASE__URL", local)

    @property
    def screen(self) -> str:
        """What it has shown since its last start."""
        return self._screen.read_text(errors="replace")

    @property
    def why_not_ready(self) -> str:
        """What it answers to who asks whether it is ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310
                return str(answer.read())
        except urllib.error.HTTPError as error:
            return str(error.read())

    def start(self) -> None:
        """Start everything and wait until it says that it is ready."""
        argv = ["up", "--data-dir", str(self.data_dir), "--port", str(self.port), *self._options]
        with self._screen.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra", *argv],
                env={**os.environ, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        eventually(self._is_ready, within_seconds=_START_SECONDS, what="headrace says it is ready")

    def stop(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(_STOP_SECONDS)

    def crash(self) -> None:
        """Kill `headrace up` itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def pid(self, role: str) -> int | None:
        """Return the process id of a role, None while it does not run."""
        try:
            return int((self.data_dir / "run" / f"{role}.pid").read_text())
        except FileNotFoundError:
            return None

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a role as a crash would, and wait until another process has its place."""
        before = self.pid(role)
        assert before is not None, f"{role} does not run"
        os.kill(before, number)
        self.until_replaced(role, before)

    def until_replaced(self, role: str, before: int | None) -> None:
        """Wait until another process than `before` has the place of a role."""
        eventually(
            lambda: self.pid(role) not in (None, before),
            within_seconds=_START_SECONDS,
            what=f"{role} is started again",
        )

    def send(self, role: str, number: signal.Signals) -> None:
        """Send a role a signal."""
        pid = self.pid(role)
        assert pid is not None, f"{role} does not run"
        os.kill(pid, number)

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work with the data directory."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data_dir) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def post(self, event: object, path: str = "/api/event") -> tuple[int, Any]:
        """Send a body as JSON, or bytes as they are; return the status and the answer."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        request = urllib.request.Request(self.url + path, body)  # noqa: S310 - ours
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Ask the database in its own SQL; values are in the form of its driver."""
        return self._ask(lambda connection: connection.exec_driver_sql(query, tuple(values)))

    def select(self, query: Executable) -> list[dict[str, Any]]:
        """Ask the database for typed values, whichever engine it is."""
        return self._ask(lambda connection: connection.execute(query))

    def _ask(self, ask: Callable[[Connection], CursorResult[Any]]) -> list[dict[str, Any]]:
        async def run() -> list[dict[str, Any]]:
            database = open_reader(self.database, _READ_SECONDS)
            try:
                return await database.run(
                    lambda connection: [dict(row) for row in ask(connection).mappings()]
                )
            finally:
                await database.close()

        # A thread, so that tests with an event loop of their own may ask, too.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, run()).result()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"headrace up ended:\n{self.screen}"
        return "headrace is ready" in self.screen
