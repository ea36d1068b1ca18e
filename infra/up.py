"""`headrace up`: everything on this machine, from the broker to the last sink."""

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

from infra import disk, preloaded
from infra.broker.local_kafka import LocalKafka
from infra.data_dir import DataDir
from infra.disk import Space
from infra.errors import RoleFailedError, UserError
from infra.local import address_of, check_port, is_loopback
from infra.private import restrict
from infra.role_status import is_heard, why_not_ready
from infra.rotation import rotate
from infra.run_log import RunLog
from infra.screen import Screen
from infra.supervised import Supervised
from infra.topics import create_topics, update_topics
from infra.up_lock import lock
from schemas.clocks import CLOCK_PROBLEM
from schemas.counted import counted
from schemas.settings import PREFIX, Settings
from schemas.topics import TOPICS

T = TypeVar("T")

#: The roles of `up` in the order they start and end, each with its command; given is the file
#: that it renews to say how it is.
COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "web": lambda status: ("web", "--status-dir", str(status.parent)),
    "streams": lambda status: ("streams", "--status-file", str(status)),
    "live": lambda status: ("live", "--status-file", str(status)),
    "sinks": lambda status: ("sinks", "--upgrade-database", "--status-file", str(status)),
}

#: One heap for all threads of a process instead of one each: some 10 MB less a role that is no
#: copy of this process.
_SMALL = {"MALLOC_ARENA_MAX": "1"}
_READY_SECONDS = 90.0
_GRACE_SECONDS = 30.0
_POLL_SECONDS = 0.1
_LISTEN_SECONDS = 5.0
#: How often is looked for a process that has ended.
_LOOK_SECONDS = 0.2
#: Between two attempts while the disk is full.
_RETRY_SECONDS = 1.0
#: Exit code of an interrupted command, as shells have it.
_INTERRUPTED = 130


class Up:
    """The processes of one machine: started in order, watched, ended in order.

    Without `broker`, Kafka is somebody else's, at the address of the settings.
    """

    def __init__(
        self, settings: Settings, data_dir: DataDir, broker: LocalKafka | None, screen: Screen
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._broker = broker
        self._screen = screen
        self._lock: IO[str] | None = None
        self._space = Space(data_dir.root)
        self._is_full = False
        self._children: list[Supervised] = []
        self._logs: dict[str, RunLog] = {}
        self._listen_at = 0.0
        self._is_ready = False
        self._signal = signal.SIGINT
        self._is_killed = False

    def run(self) -> int:
        """Run until TERM, HUP or Ctrl-C; return the exit code. `UserError` if it cannot start.

        0 for an end in order; 130 for Ctrl-C before it was ready, and for a second Ctrl-C.
        """
        signal.signal(signal.SIGTERM, self._interrupt)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as `nohup` has it
            signal.signal(signal.SIGHUP, self._interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._start()
            while True:
                self._look_after()
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            self._screen.ending()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._kill)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._stop()
        is_in_order = self._is_ready or self._signal != signal.SIGINT
        return 0 if is_in_order and not self._is_killed else _INTERRUPTED

    def _interrupt(self, number: int, _: object) -> None:
        """Handle TERM and HUP as Ctrl-C is handled, wherever that is."""
        self._signal = signal.Signals(number)
        signal.raise_signal(signal.SIGINT)

    def _look_after(self) -> None:
        """Start again what died, kill what does not answer, and report a full disk.

        While the disk is full, nothing is started again, and nothing is killed: the roles cannot
        write the files by which they are heard.
        """
        is_due = time.monotonic() >= self._listen_at
        if is_due or any(child.has_ended for child in self._children):
            self._look_at_space()
        for child in self._children:
            if news := child.check(hold=self._is_full):
                self._report(child, news)
        if not is_due:
            return
        self._listen_at = time.monotonic() + _LISTEN_SECONDS
        for child in self._children:
            if child.role not in COMMANDS:
                continue
            rotate(self._data_dir.log(child.role))
            if child.is_silent(is_heard=self._is_full or self._is_heard(child.role)):
                self._report(child, f"{child.role} does not answer and is killed")
                child.kill()

    def _look_at_space(self) -> None:
        trouble = self._space.trouble()
        if self._is_full != (trouble is not None):
            self._is_full = trouble is not None
            self._screen.news(trouble or "there is space on the disk again")

    def _report(self, child: Supervised, news: str) -> None:
        reason = self._logs[child.role].reason() if child.has_ended else ""
        log = self._data_dir.log(child.role)
        self._screen.news(f"{news}: {reason}" if reason else news, log)

    def _is_heard(self, role: str) -> bool:
        if role == "web":
            return self._asks_web("/healthz") is None
        return is_heard(self._data_dir.status(role))

    # -- the start

    def _start(self) -> None:
        began = time.monotonic()
        self._lock = self._patiently(partial(lock, self._data_dir))
        restrict(self._data_dir.root)
        check_port(self._settings.api)
        is_first = not self._data_dir.was_used
        for role in COMMANDS:  # leftovers of a run that was killed
            self._data_dir.pid(role).unlink(missing_ok=True)
            self._data_dir.status(role).unlink(missing_ok=True)
        self._start_broker()
        # The roles load while the broker starts, and wait for it.
        preloaded.preload()
        self._patiently(lambda: self._data_dir.write_address(address_of(self._settings.api)))
        for role in COMMANDS:
            self._start_role(role)
        self._screen.step("Kafka", self._wait_for_broker)
        self._screen.step("Topics", self._create_topics)
        # `web` is ready when the others are and it has reached Kafka, too.
        for role in sorted(COMMANDS, key=lambda role: role == "web"):
            self._screen.step(role, partial(self._wait_ready, role))
        self._is_ready = True
        seconds = time.monotonic() - began
        token = self._owner_token()
        self._screen.ready(self._settings, self._data_dir, seconds, token, is_first=is_first)

    def _patiently(self, action: Callable[[], T]) -> T:
        """Return the result of what writes files; while the disk is full, wait and try again."""
        while True:
            try:
                return action()
            except (OSError, UserError) as error:
                if self._space.explains(error):
                    self._wait_for_space(error)
                elif isinstance(error, OSError):
                    raise UserError(disk.explain(error, self._data_dir.root)) from error
                else:
                    raise

    def _wait_for_space(self, error: Exception) -> None:
        """Wait at least a second, and until the disk is not full."""
        if disk.is_full(error) and not self._is_full:
            self._is_full = True
            self._screen.news(disk.sentence(self._data_dir.root))
        time.sleep(_RETRY_SECONDS)
        while self._space.trouble() is not None:
            time.sleep(_RETRY_SECONDS)

    def _owner_token(self) -> str | None:
        """Return the token for the page's address, which sinks made; None where others see it."""
        if not is_loopback(self._settings.api.host):
            return None
        return self._data_dir.owner_token.read_text("ascii").strip()

    def _start_broker(self) -> None:
        if (broker := self._broker) is None:
            return

        def start() -> subprocess.Popen[bytes]:
            self._begin_log("kafka")
            broker.start()
            return broker.process

        child = Supervised("kafka", start, self._data_dir.pid("kafka"))
        self._children.append(child)
        self._patiently(child.start)
        kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap})
        self._settings = self._settings.model_copy(update={"kafka": kafka})

    def _begin_log(self, role: str) -> Path:
        """Return the log of a role that is about to start; it exists from here on."""
        log = self._data_dir.log(role)
        self._logs[role] = RunLog(log)
        self._logs[role].begin()
        log.touch()
        return log

    def _wait_for_broker(self) -> str:
        address = self._settings.kafka.bootstrap_servers
        if (broker := self._broker) is None:
            self._patiently(lambda: self._data_dir.write_kafka_address(address))
            return f"{address}, not ours"
        while True:
            try:
                broker.wait_ready()
            except OSError as error:
                if not self._space.explains(error):
                    raise UserError(disk.explain(error, self._data_dir.root)) from error
                self._wait_for_space(error)
            except UserError as error:
                if not self._space.was_full_lately():
                    raise self._failed("kafka", _how_failed(self._child("kafka"))) from error
                self._wait_for_space(error)
                self._patiently(self._child("kafka").restart)
            else:
                return f"{address}, data in {self._screen.shown(self._data_dir.root / 'kafka')}"

    def _create_topics(self) -> str:
        while True:
            try:
                created = asyncio.run(create_topics(self._settings.kafka))
            except UserError as error:
                self._fail_if_ended()
                if not self._space.explains(error):
                    raise
                self._look_after()
                time.sleep(_RETRY_SECONDS)
            else:
                break
        # Where Kafka does not let us, `headrace topics create` says why.
        with suppress(UserError):
            asyncio.run(update_topics(self._settings.kafka, created))
        return f"{len(TOPICS)}, each of {counted(self._settings.kafka.partitions, 'partition')}"

    def _about(self, role: str) -> str:
        if role == "web":
            return address_of(self._settings.api)
        if role == "sinks":
            return f"into {self._screen.shown(self._settings.database.url)}"
        if role == "live":
            return "what happens now"
        return "sessions, page durations, alerts"

    def _start_role(self, role: str) -> None:
        status = self._data_dir.status(role)
        rotate(self._data_dir.log(role))
        arguments = COMMANDS[role](status)
        if role == "sinks" and is_loopback(self._settings.api.host):
            arguments += ("--owner-token", str(self._data_dir.owner_token))
        environment = {**os.environ, **_SMALL, **_environment(self._settings)}

        def start() -> preloaded.Child:
            return preloaded.start(arguments, log=self._begin_log(role), env=environment)

        child = Supervised(role, start, self._data_dir.pid(role))
        self._children.append(child)
        self._patiently(child.start)

    def _wait_ready(self, role: str) -> str:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            self._fail_if_ended()
            if self._space.was_full_lately():
                self._look_after()
                deadline = time.monotonic() + _READY_SECONDS
            if (reason := self._why_not_ready(role)) is None or CLOCK_PROBLEM in reason:
                self._fail_if_ended()
                return self._about(role)
            if time.monotonic() > deadline:
                raise self._failed(role, f"was not ready within {_READY_SECONDS:.0f} s", reason)
            time.sleep(_POLL_SECONDS)

    def _fail_if_ended(self) -> None:
        """Raise `RoleFailedError` if a process has ended, unless the disk was full lately."""
        ended = [child for child in self._children if child.has_ended]
        if ended and not self._space.was_full_lately():
            raise self._failed(ended[0].role, f"ended while it started ({ended[0].how_ended})")

    def _failed(self, role: str, what: str, reason: str = "") -> RoleFailedError:
        log = self._data_dir.log(role)
        said = reason or (self._logs[role].reason() if role in self._logs else "")
        more = f": {said.rstrip('.')}" if said else ""
        return RoleFailedError(role, what, f"{more}. Its log is {log}")

    def _child(self, role: str) -> Supervised:
        return next(child for child in self._children if child.role == role)

    def _why_not_ready(self, role: str) -> str | None:
        if role == "web":
            return self._asks_web("/readyz")
        return why_not_ready(self._data_dir.status(role))

    def _asks_web(self, path: str) -> str | None:
        """Return why the HTTP side does not answer that all is well; None when it does."""
        try:
            url = f"{address_of(self._settings.api)}{path}"
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - http, and ours
                return None
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace")
        except OSError as error:
            return str(error)

    # -- the end

    def _stop(self) -> None:
        """End what takes events, then the other roles at the same time, then the broker."""
        for child in sorted(self._children, key=lambda child: child.role == "kafka"):
            self._screen.end(child.role, partial(child.stop, _GRACE_SECONDS))
            if child.role == "web":
                for other in self._children:
                    if other.role != "kafka":
                        other.tell_to_end()
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
    """Return what the roles are told beyond the environment and the .env file."""
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA__PARTITIONS": settings.kafka.partitions,
        "DATABASE__URL": settings.database.url,
        "DATABASE__URL_FILE": "",
        "API__HOST": settings.api.host,
        "API__PORT": settings.api.port,
        "QUERY__PUBLIC_URL": settings.query.public_url or address_of(settings.api),
    }
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def _how_failed(broker: Supervised) -> str:
    if broker.has_ended:
        return f"ended while it started ({broker.how_ended})"
    return "did not get ready"
