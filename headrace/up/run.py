"""`headrace up`: run the broker and all roles on this machine."""

import os
import signal
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from typing import IO, NamedTuple

from headrace.local import saved_options
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.data_dir import DataDir
from headrace.local.options import address_of, check_port, is_loopback
from headrace.local.permissions import restrict
from headrace.local.saved_options import SavedOptions
from headrace.local.workers import role_of
from headrace.roles.status import why_not_ready
from headrace.up import preloaded, roles
from headrace.up.full_disk import FullDisk
from headrace.up.kafka import Kafka
from headrace.up.key_file import with_key_file
from headrace.up.lock import lock
from headrace.up.roles import ROLES, WorkerCounts
from headrace.up.start_screen import Screen
from headrace.up.supervisor import Supervisor
from schemas.clock_tolerance import CLOCK_PROBLEM
from schemas.settings import Settings

#: One malloc arena per process instead of one per thread: saves about 10 MB in a role that is not
#: forked from this process.
_MALLOC_ENV = {"MALLOC_ARENA_MAX": "1"}
_READY_SECONDS = 90.0
_POLL_SECONDS = 0.03
#: Between two checks for processes that have exited.
_SUPERVISE_SECONDS = 0.2
#: The exit code that shells use for SIGINT.
_INTERRUPTED = 130


class Plan(NamedTuple):
    """What to run: the settings, the workers, and the options to save once Kafka accepts them."""

    settings: Settings
    counts: WorkerCounts
    saved: SavedOptions


class Up:
    """Starts, supervises and stops the processes of `headrace up`.

    Without `broker`, the roles use the Kafka cluster of the settings.
    """

    def __init__(
        self, plan: Plan, data_dir: DataDir, broker: LocalKafka | None, screen: Screen
    ) -> None:
        self._settings, self._counts, self._saved = plan
        self._data_dir = data_dir
        self._screen = screen
        self._lock: IO[str] | None = None
        self._disk = FullDisk(data_dir, screen)
        self._supervisor = Supervisor(data_dir, screen, self._disk)
        self._kafka = Kafka(broker, data_dir, screen, self._disk, self._supervisor)
        self._is_ready = False
        self._signal = signal.SIGINT
        self._is_killed = False

    def run(self) -> int:
        """Run until SIGTERM, SIGHUP or Ctrl-C; return the exit code.

        0 after a graceful shutdown; 130 after Ctrl-C before all roles were ready, or after a second
        Ctrl-C. Raises UserError if a process cannot be started.
        """
        signal.signal(signal.SIGTERM, self._interrupt)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # `nohup` ignores it
            signal.signal(signal.SIGHUP, self._interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._start()
            while True:
                self._supervisor.check()
                time.sleep(_SUPERVISE_SECONDS)
        except KeyboardInterrupt:
            self._screen.stopping()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._kill)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._stop()
        is_graceful = self._is_ready or self._signal != signal.SIGINT
        return 0 if is_graceful and not self._is_killed else _INTERRUPTED

    def _interrupt(self, number: int, _: object) -> None:
        """Handle SIGTERM and SIGHUP like Ctrl-C."""
        self._signal = signal.Signals(number)
        signal.raise_signal(signal.SIGINT)

    # -- start

    def _start(self) -> None:
        started_at = time.monotonic()
        self._lock = self._disk.retry(partial(lock, self._data_dir))
        restrict(self._data_dir.root)
        self._settings = self._disk.retry(
            lambda: with_key_file(self._settings, self._data_dir, self._screen)
        )
        check_port(self._settings.api)
        is_first = not self._data_dir.was_used
        self._data_dir.remove_run_files(ROLES)  # a killed run leaves them behind
        kafka = self._kafka.start(self._settings.kafka)
        self._settings = self._settings.model_copy(update={"kafka": kafka})
        # The roles load while the broker starts.
        preloaded.preload()
        self._disk.retry(lambda: self._data_dir.write_address(address_of(self._settings.api)))
        # The first of the sinks upgrades the database.
        for name in self._counts.all_names:
            if role_of(name) != "sinks" or name == "sinks":
                self._start_worker(name)
        self._screen.step("Kafka", partial(self._kafka.wait, kafka))
        self._screen.step("Topics", partial(self._kafka.create_topics, kafka))
        self._disk.retry(lambda: saved_options.save(self._data_dir.root, self._saved))
        # `web` is ready only when the other roles are.
        for role in sorted(ROLES, key=lambda role: role == "web"):
            self._screen.step(role, partial(self._wait_for_role, role))
        self._is_ready = True
        seconds = time.monotonic() - started_at
        token = self._owner_token()
        self._screen.ready(self._settings, self._data_dir, seconds, token, is_first=is_first)

    def _owner_token(self) -> str | None:
        """Return the token for the dashboard link; None unless the server listens on loopback.

        The role `sinks` creates it.
        """
        if not is_loopback(self._settings.api.host):
            return None
        return self._data_dir.owner_token.read_text("ascii").strip()

    def _start_worker(self, name: str) -> None:
        arguments = roles.command(name, self._counts, self._settings, self._data_dir)
        env = {**os.environ, **_MALLOC_ENV, **roles.environment(self._settings)}
        self._supervisor.start(name, lambda log: preloaded.start(arguments, log=log, env=env))

    def _wait_for_role(self, role: str) -> str:
        first, *others = self._counts.names(role)
        self._wait_ready(first)
        if role == "sinks":
            for name in others:
                self._start_worker(name)
        for name in others:
            self._wait_ready(name)
        return f"{self._summary_of(role)}{f', {1 + len(others)} workers' if others else ''}"

    def _summary_of(self, role: str) -> str:
        if role == "web":
            return address_of(self._settings.api)
        if role == "sinks":
            return f"into {self._screen.shown(self._settings.database.url)}"
        if role == "live":
            return "live counters"
        return "sessions, page durations, alerts"

    def _wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            self._supervisor.raise_if_exited()
            if self._disk.space.was_recently_full():
                self._supervisor.check()
                deadline = time.monotonic() + _READY_SECONDS
            if (reason := self._why_not_ready(name)) is None or CLOCK_PROBLEM in reason:
                self._supervisor.raise_if_exited()
                return
            if time.monotonic() > deadline:
                what = f"was not ready within {_READY_SECONDS:.0f} s"
                raise self._supervisor.failure(name, what, reason)
            time.sleep(_POLL_SECONDS)

    def _why_not_ready(self, name: str) -> str | None:
        # Several web processes share a port, so each one reports by its status file.
        if name == "web" and self._counts.web == 1:
            return _why_web_is_not_ready(address_of(self._settings.api))
        return why_not_ready(self._data_dir.status(name))

    # -- stop

    def _stop(self) -> None:
        self._supervisor.stop()
        if self._lock is not None:
            with suppress(OSError):
                self._data_dir.remove_run_files(ROLES)
        self._kafka.stop()
        if self._lock is not None:
            self._lock.close()

    def _kill(self, *_: object) -> None:
        self._is_killed = True
        self._supervisor.kill()


def _why_web_is_not_ready(address: str) -> str | None:
    """Return why `/readyz` does not answer with 200; None if it does."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=1):  # noqa: S310 - our own server
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return str(error)
