"""`headrace up`: run the broker and all roles on this machine."""

import asyncio
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from headrace.errors import RoleFailedError, UserError
from headrace.local import disk_space
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.data_dir import DataDir
from headrace.local.disk_space import DiskSpace
from headrace.local.options import address_of, check_port, is_loopback
from headrace.local.permissions import restrict
from headrace.local.run_log import RunLog
from headrace.roles.status import is_fresh, why_not_ready
from headrace.up import preloaded
from headrace.up.lock import lock
from headrace.up.log_rotation import rotate
from headrace.up.start_screen import Screen
from headrace.up.supervised_process import SupervisedProcess
from schemas.clock_tolerance import CLOCK_PROBLEM
from schemas.plurals import counted
from schemas.settings import PREFIX, Settings
from schemas.topics import TOPICS

T = TypeVar("T")

#: The roles of `up` in start and stop order, with the command of each for a given status file.
COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "web": lambda status: ("web", "--status-dir", str(status.parent)),
    "streams": lambda status: ("streams", "--status-file", str(status)),
    "live": lambda status: ("live", "--status-file", str(status)),
    "sinks": lambda status: ("sinks", "--upgrade-database", "--status-file", str(status)),
}

#: One malloc arena per process instead of one per thread: saves about 10 MB in a role that is not
#: forked from this process.
_MALLOC_ENV = {"MALLOC_ARENA_MAX": "1"}
_READY_SECONDS = 90.0
_GRACE_SECONDS = 30.0
_POLL_SECONDS = 0.03
_HEALTH_CHECK_SECONDS = 5.0
#: Between two checks for processes that have exited.
_SUPERVISE_SECONDS = 0.2
#: Between two attempts while the disk is full.
_RETRY_SECONDS = 1.0
#: The exit code that shells use for SIGINT.
_INTERRUPTED = 130


class Up:
    """Starts, supervises and stops the processes of `headrace up`.

    Without `broker`, the roles use the Kafka cluster of the settings.
    """

    def __init__(
        self, settings: Settings, data_dir: DataDir, broker: LocalKafka | None, screen: Screen
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._broker = broker
        self._screen = screen
        self._lock: IO[str] | None = None
        self._disk_space = DiskSpace(data_dir.root)
        self._is_full = False
        self._children: list[SupervisedProcess] = []
        self._logs: dict[str, RunLog] = {}
        self._health_check_at = 0.0
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
                self._supervise()
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

    def _supervise(self) -> None:
        """Restart processes that have exited, kill unresponsive ones, and report a full disk.

        While the disk is full, no process is restarted or killed: the roles cannot update their
        status files.
        """
        is_due = time.monotonic() >= self._health_check_at
        if is_due or any(child.has_exited for child in self._children):
            self._check_disk_space()
        for child in self._children:
            if change := child.check(can_restart=not self._is_full):
                self._report(child, change)
        if not is_due:
            return
        self._health_check_at = time.monotonic() + _HEALTH_CHECK_SECONDS
        for child in self._children:
            if child.role not in COMMANDS:
                continue
            rotate(self._data_dir.log(child.role))
            is_responding = self._is_full or self._is_responding(child.role)
            if child.is_unresponsive(is_responding=is_responding):
                self._report(child, f"{child.role} does not respond; killing it")
                child.kill()

    def _check_disk_space(self) -> None:
        problem = self._disk_space.problem()
        if self._is_full != (problem is not None):
            self._is_full = problem is not None
            self._screen.notify(problem or "the disk has free space again")

    def _report(self, child: SupervisedProcess, change: str) -> None:
        reason = self._logs[child.role].exit_reason() if child.has_exited else ""
        log = self._data_dir.log(child.role)
        self._screen.notify(f"{change}: {reason}" if reason else change, log)

    def _is_responding(self, role: str) -> bool:
        if role == "web":
            return self._why_web_fails("/healthz") is None
        return is_fresh(self._data_dir.status(role))

    # -- start

    def _start(self) -> None:
        started_at = time.monotonic()
        self._lock = self._retry_while_full(partial(lock, self._data_dir))
        restrict(self._data_dir.root)
        self._retry_while_full(self._use_key_file)
        check_port(self._settings.api)
        is_first = not self._data_dir.was_used
        for role in COMMANDS:  # a killed run leaves its files behind
            self._data_dir.pid(role).unlink(missing_ok=True)
            self._data_dir.status(role).unlink(missing_ok=True)
        self._start_broker()
        # The roles load while the broker starts.
        preloaded.preload()
        self._retry_while_full(lambda: self._data_dir.write_address(address_of(self._settings.api)))
        for role in COMMANDS:
            self._start_role(role)
        self._screen.step("Kafka", self._wait_for_broker)
        self._screen.step("Topics", self._create_topics)
        # `web` is ready only when the other roles are.
        for role in sorted(COMMANDS, key=lambda role: role == "web"):
            self._screen.step(role, partial(self._wait_ready, role))
        self._is_ready = True
        seconds = time.monotonic() - started_at
        token = self._owner_token()
        self._screen.ready(self._settings, self._data_dir, seconds, token, is_first=is_first)

    def _retry_while_full(self, action: Callable[[], T]) -> T:
        """Call an action that writes files, and retry it while the disk is full."""
        while True:
            try:
                return action()
            except (OSError, UserError) as error:
                if self._disk_space.may_explain(error):
                    self._wait_for_space(error)
                elif isinstance(error, OSError):
                    raise UserError(disk_space.explain(error, self._data_dir.root)) from error
                else:
                    raise

    def _wait_for_space(self, error: Exception) -> None:
        """Wait until the disk has free space, and at least `_RETRY_SECONDS`."""
        if disk_space.is_full(error) and not self._is_full:
            self._is_full = True
            self._screen.notify(disk_space.full_message(self._data_dir.root))
        time.sleep(_RETRY_SECONDS)
        while self._disk_space.problem() is not None:
            time.sleep(_RETRY_SECONDS)

    def _use_key_file(self) -> None:
        """Encrypt secrets with the key file of the data directory, unless another one is set."""
        if self._settings.secrets.key_file:
            return
        is_new = self._data_dir.was_used and not self._data_dir.has_secrets_key
        path = self._data_dir.secrets_key()
        self._settings = self._settings.model_copy(update={"secrets": self._data_dir.secrets()})
        if is_new:
            self._screen.notify(
                f"created {path}, which encrypts the secrets of subscriptions; if you had one, "
                "restore it from a backup"
            )

    def _owner_token(self) -> str | None:
        """Return the token for the dashboard link; None unless the server listens on loopback.

        The role `sinks` creates it.
        """
        if not is_loopback(self._settings.api.host):
            return None
        return self._data_dir.owner_token.read_text("ascii").strip()

    def _start_broker(self) -> None:
        if (broker := self._broker) is None:
            return

        def start() -> subprocess.Popen[bytes]:
            self._start_log("kafka")
            broker.start()
            return broker.process

        child = SupervisedProcess("kafka", start, self._data_dir.pid("kafka"))
        self._children.append(child)
        self._retry_while_full(child.start)
        kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap})
        self._settings = self._settings.model_copy(update={"kafka": kafka})

    def _start_log(self, role: str) -> Path:
        """Create the log of a role that is about to start, and return its path."""
        log = self._data_dir.log(role)
        self._logs[role] = RunLog(log)
        self._logs[role].start_run()
        log.touch()
        return log

    def _wait_for_broker(self) -> str:
        address = self._settings.kafka.bootstrap_servers
        if (broker := self._broker) is None:
            self._retry_while_full(lambda: self._data_dir.write_kafka_address(address))
            return f"{address}, external"
        while True:
            try:
                broker.wait_ready()
            except OSError as error:
                if not self._disk_space.may_explain(error):
                    raise UserError(disk_space.explain(error, self._data_dir.root)) from error
                self._wait_for_space(error)
            except UserError as error:
                if not self._disk_space.was_recently_full():
                    raise self._role_failure(
                        "kafka", _startup_failure(self._child("kafka"))
                    ) from error
                self._wait_for_space(error)
                self._retry_while_full(self._child("kafka").restart)
            else:
                return f"{address}, data in {self._screen.shown(self._data_dir.root / 'kafka')}"

    def _create_topics(self) -> str:
        # Imported while the broker starts, by `preload`.
        from headrace.admin.topics import create_topics, update_topics  # noqa: PLC0415

        while True:
            try:
                created = asyncio.run(create_topics(self._settings.kafka))
            except UserError as error:
                self._raise_if_exited()
                if not self._disk_space.may_explain(error):
                    raise
                self._supervise()
                time.sleep(_RETRY_SECONDS)
            else:
                break
        # `headrace topics create` reports why Kafka rejects it.
        with suppress(UserError):
            asyncio.run(update_topics(self._settings.kafka, created))
        return f"{len(TOPICS)}, each of {counted(self._settings.kafka.partitions, 'partition')}"

    def _summary_of(self, role: str) -> str:
        if role == "web":
            return address_of(self._settings.api)
        if role == "sinks":
            return f"into {self._screen.shown(self._settings.database.url)}"
        if role == "live":
            return "live counters"
        return "sessions, page durations, alerts"

    def _start_role(self, role: str) -> None:
        status = self._data_dir.status(role)
        rotate(self._data_dir.log(role))
        arguments = COMMANDS[role](status)
        if role == "sinks" and is_loopback(self._settings.api.host):
            arguments += ("--owner-token", str(self._data_dir.owner_token))
        environment = {**os.environ, **_MALLOC_ENV, **_environment(self._settings)}

        def start() -> preloaded.Child:
            return preloaded.start(arguments, log=self._start_log(role), env=environment)

        child = SupervisedProcess(role, start, self._data_dir.pid(role))
        self._children.append(child)
        self._retry_while_full(child.start)

    def _wait_ready(self, role: str) -> str:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            self._raise_if_exited()
            if self._disk_space.was_recently_full():
                self._supervise()
                deadline = time.monotonic() + _READY_SECONDS
            if (reason := self._why_not_ready(role)) is None or CLOCK_PROBLEM in reason:
                self._raise_if_exited()
                return self._summary_of(role)
            if time.monotonic() > deadline:
                raise self._role_failure(
                    role, f"was not ready within {_READY_SECONDS:.0f} s", reason
                )
            time.sleep(_POLL_SECONDS)

    def _raise_if_exited(self) -> None:
        """Raise `RoleFailedError` if a process has exited, unless the disk was recently full."""
        exited = [child for child in self._children if child.has_exited]
        if exited and not self._disk_space.was_recently_full():
            raise self._role_failure(exited[0].role, _startup_failure(exited[0]))

    def _role_failure(self, role: str, what: str, reason: str = "") -> RoleFailedError:
        log = self._data_dir.log(role)
        reason = reason or (self._logs[role].exit_reason() if role in self._logs else "")
        details = f": {reason.rstrip('.')}" if reason else ""
        return RoleFailedError(role, what, f"{details}. Its log is {log}")

    def _child(self, role: str) -> SupervisedProcess:
        return next(child for child in self._children if child.role == role)

    def _why_not_ready(self, role: str) -> str | None:
        if role == "web":
            return self._why_web_fails("/readyz")
        return why_not_ready(self._data_dir.status(role))

    def _why_web_fails(self, path: str) -> str | None:
        """Return why the role `web` does not answer with 200; None if it does."""
        try:
            url = f"{address_of(self._settings.api)}{path}"
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own server
                return None
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")
        except OSError as error:
            return str(error)

    # -- stop

    def _stop(self) -> None:
        """Stop the processes in the order of the data flow.

        First `web`, which accepts events; then `streams` and `live` in parallel; then `sinks`,
        which stores the last results of `streams`; and last the broker.
        """
        order = ("web", "streams", "live", "sinks", "kafka")
        for child in sorted(self._children, key=lambda child: order.index(child.role)):
            self._screen.stop(child.role, partial(child.stop, _GRACE_SECONDS))
            if child.role == "web":
                for other in self._children:
                    if other.role in {"streams", "live"}:
                        other.terminate()
        if self._lock is not None:
            for role in COMMANDS:
                with suppress(OSError):
                    self._data_dir.status(role).unlink(missing_ok=True)
        if self._broker is not None:
            self._broker.stop()
        if self._lock is not None:
            self._lock.close()

    def _kill(self, *_: object) -> None:
        self._is_killed = True
        for child in self._children:
            child.kill()


def _environment(settings: Settings) -> dict[str, str]:
    """Return the variables that the roles get in addition to the environment and `.env`."""
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA__PARTITIONS": settings.kafka.partitions,
        "DATABASE__URL": settings.database.url,
        "DATABASE__URL_FILE": "",
        "SECRETS__KEY_FILE": settings.secrets.key_file,
        "API__HOST": settings.api.host,
        "API__PORT": settings.api.port,
        "API__SITES": settings.api.sites,
        "METRICS__PORT": 0,  # `web` serves the metrics of all roles
        "QUERY__PUBLIC_URL": settings.query.public_url or address_of(settings.api),
    }
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def _startup_failure(child: SupervisedProcess) -> str:
    if child.has_exited:
        return f"exited during startup ({child.exit_status})"
    return "did not become ready"
