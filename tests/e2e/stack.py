"""A stack started by `headrace up`."""

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
import pytest
from sqlalchemy import Connection, CursorResult, Executable
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.local.broker.ports import free_port
from sinks.sql.reader import open_reader
from tests.fixtures.waiting import eventually

#: Partitions per topic.
PARTITIONS = 4

_START_SECONDS = 90
_STOP_SECONDS = 60
#: Longer than the limit of the roles, because tests read whole tables on a busy machine.
_READ_SECONDS = 60


class Stack:
    """`headrace up` with a data directory; `settings` are added to the environment."""

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        #: Added to the environment at each start, and to that of additional roles.
        self.settings = dict(settings or {})
        self._options = options
        self._screen = data_dir.with_suffix(".screen")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the API."""
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
        """The output since its last start."""
        return self._screen.read_text(errors="replace")

    @property
    def why_not_ready(self) -> str:
        """The body of the response of `/readyz`."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:  # noqa: S310
                return str(response.read())
        except urllib.error.HTTPError as error:
            return str(error.read())

    def start(self) -> None:
        """Start `headrace up`, and wait until it prints that it is ready."""
        argv = ["up", "--data-dir", str(self.data_dir), "--port", str(self.port), *self._options]
        with self._screen.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headrace", *argv],
                env={**os.environ, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        eventually(self._is_ready, within_seconds=_START_SECONDS, what="headrace says it is ready")

    def stop(self) -> int:
        """Stop it with SIGINT, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(_STOP_SECONDS)

    def crash(self) -> None:
        """Kill `headrace up` with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Terminate it if it is still running."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def pid(self, role: str) -> int | None:
        """Return the process id of a role; None while it is not running."""
        try:
            return int((self.data_dir / "run" / f"{role}.pid").read_text())
        except FileNotFoundError:
            return None

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a role, and wait until it is restarted."""
        before = self.pid(role)
        assert before is not None, f"{role} does not run"
        os.kill(before, number)
        self.until_replaced(role, before)

    def until_replaced(self, role: str, before: int | None) -> None:
        """Wait until a role has another process id than `before`."""
        eventually(
            lambda: self.pid(role) not in (None, before),
            within_seconds=_START_SECONDS,
            what=f"{role} is started again",
        )

    def send(self, role: str, number: signal.Signals) -> None:
        """Send a signal to a role."""
        pid = self.pid(role)
        assert pid is not None, f"{role} does not run"
        os.kill(pid, number)

    def processes(self) -> list[psutil.Process]:
        """Return the processes with the data directory in their command lines."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data_dir) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def invoke(self, *command: str) -> Result:
        """Run a command on its data directory.

        In this process, because a new one imports for a second. `main` prints error messages; here
        they are those of the exception.
        """
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.settings.items():
                patch.setenv(name, value)
            return CliRunner().invoke(app, [*command, "--data-dir", str(self.data_dir)])

    def headrace(self, *command: str) -> str:
        """Run a command on its data directory to success; return the standard output."""
        done = self.invoke(*command)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def post(self, event: object, path: str = "/api/event") -> tuple[int, Any]:
        """Post a JSON value, or bytes; return the status and the JSON of the response."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        request = urllib.request.Request(self.url + path, body)  # noqa: S310 - ours
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Query the database in the SQL dialect and parameter style of its driver."""
        return self._query(lambda connection: connection.exec_driver_sql(query, tuple(values)))

    def select(self, query: Executable) -> list[dict[str, Any]]:
        """Query the database by SQLAlchemy; values are typed."""
        return self._query(lambda connection: connection.execute(query))

    def _query(self, execute: Callable[[Connection], CursorResult[Any]]) -> list[dict[str, Any]]:
        async def run() -> list[dict[str, Any]]:
            database = open_reader(self.database, _READ_SECONDS)
            try:
                return await database.run(
                    lambda connection: [dict(row) for row in execute(connection).mappings()]
                )
            finally:
                await database.close()

        # In a thread, because tests may have a running event loop.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, run()).result()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"headrace up ended:\n{self.screen}"
        return "headrace is ready" in self.screen
