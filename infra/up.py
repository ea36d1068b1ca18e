"""`headrace up`: everything on this machine, from the broker to the last sink."""

import asyncio
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from infra import preloaded, process
from infra.broker.local_kafka import LocalKafka
from infra.data_dir import DataDir
from infra.errors import UserError
from infra.local import address_of, is_loopback
from infra.role_status import is_heard, why_not_ready
from infra.screen import Screen
from infra.silence import Silence
from infra.supervised import Supervised
from infra.topics import create_topics
from schemas.settings import PREFIX, Settings
from schemas.topics import TOPICS

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
        self._children: list[Supervised] = []
        self._silence = Silence()
        self._listen_at = 0.0

    def run(self) -> None:
        """Run until TERM or Ctrl-C; `UserError` when it cannot start."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        try:
            self._start()
            while True:
                self._look_after()
                self._rest()
        except KeyboardInterrupt:
            self._screen.ending()
        finally:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, self._kill)
            self._stop()

    def _look_after(self) -> None:
        """Start again what died, and kill what lives but does not answer."""
        for child in self._children:
            if news := child.check():
                self._screen.news(news, self._data_dir.log(child.role))
        if time.monotonic() < self._listen_at:
            return
        self._listen_at = time.monotonic() + _LISTEN_SECONDS
        for child in self._children:
            if child.role in COMMANDS and self._silence.is_too_long(
                child.role, heard=self._is_heard(child.role)
            ):
                self._screen.news(
                    f"{child.role} does not answer and is killed", self._data_dir.log(child.role)
                )
                child.kill()

    def _rest(self) -> None:
        """Wait until a process ends, or there is something else to look after."""
        pids = [child.pid for child in self._children]
        living = [pid for pid in pids if pid is not None]
        quiet_seconds = max(0.0, self._listen_at - time.monotonic())
        # What has ended is started again in a moment.
        seconds = quiet_seconds if len(living) == len(pids) else _POLL_SECONDS
        process.wait_for_end(living, seconds)

    def _is_heard(self, role: str) -> bool:
        if role == "web":
            return self._asks_web("/healthz") is None
        return is_heard(self._data_dir.status(role))

    # -- the start

    def _start(self) -> None:
        began = time.monotonic()
        self._start_broker()
        # The roles load while the broker starts, and wait for it.
        preloaded.preload()
        self._data_dir.write_address(address_of(self._settings.api))
        for role in COMMANDS:
            self._start_role(role)
        with self._screen.step("Kafka") as done:
            done(self._wait_for_broker())
        with self._screen.step("Topics") as done:
            asyncio.run(create_topics(self._settings.kafka))
            done(f"{len(TOPICS)}, each of {self._settings.kafka.partitions} partitions")
        # `web` is ready when the others are and it has reached Kafka, too.
        for role in sorted(COMMANDS, key=lambda role: role == "web"):
            with self._screen.step(role) as done:
                self._wait_ready(role)
                done(self._about(role))
        seconds = time.monotonic() - began
        self._screen.ready(self._settings, self._data_dir, seconds, self._owner_token())

    def _owner_token(self) -> str | None:
        """Return the token for the page's address, which sinks made; None where others see it."""
        if not is_loopback(self._settings.api.host):
            return None
        return self._data_dir.owner_token.read_text("ascii").strip()

    def _start_broker(self) -> None:
        if (broker := self._broker) is None:
            return

        def start() -> subprocess.Popen[bytes]:
            broker.start()
            return broker.process

        child = Supervised("kafka", start, self._data_dir.pid("kafka"))
        child.start()
        self._children.append(child)
        kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap})
        self._settings = self._settings.model_copy(update={"kafka": kafka})

    def _wait_for_broker(self) -> str:
        address = self._settings.kafka.bootstrap_servers
        if self._broker is None:
            return f"{address}, not ours"
        self._broker.wait_ready()
        return f"{address}, data in {self._screen.shown(self._data_dir.root / 'kafka')}"

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
        status.parent.mkdir(parents=True, exist_ok=True)
        status.unlink(missing_ok=True)
        arguments = COMMANDS[role](status)
        if role == "sinks" and is_loopback(self._settings.api.host):
            arguments += ("--owner-token", str(self._data_dir.owner_token))
        environment = {**os.environ, **_SMALL, **_environment(self._settings)}

        def start() -> preloaded.Child:
            return preloaded.start(arguments, log=self._data_dir.log(role), env=environment)

        child = Supervised(role, start, self._data_dir.pid(role))
        child.start()
        self._children.append(child)

    def _wait_ready(self, role: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        child = next(child for child in self._children if child.role == role)
        while reason := self._why_not_ready(role):
            if child.has_ended:
                raise UserError(
                    f"{role} ended while it started. The last lines of {self._data_dir.log(role)}:"
                    f"\n  {_last_lines(self._data_dir, role)}"
                )
            if time.monotonic() > deadline:
                raise UserError(
                    f"{role} was not ready within {_READY_SECONDS:.0f} s: {reason}. "
                    f"Its log is {self._data_dir.log(role)}"
                )
            time.sleep(_POLL_SECONDS)

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
            with self._screen.step(child.role) as done:
                done(child.stop(_GRACE_SECONDS))
            if child.role == "web":
                for other in self._children:
                    if other.role != "kafka":
                        other.tell_to_end()
        for role in COMMANDS:
            self._data_dir.status(role).unlink(missing_ok=True)
        if self._broker is not None:
            self._broker.stop()

    def _kill(self, *_: object) -> None:
        for child in self._children:
            child.kill()


def _environment(settings: Settings) -> dict[str, str]:
    """Return what the roles are told beyond the environment and the .env file."""
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA__PARTITIONS": settings.kafka.partitions,
        "DATABASE__URL": settings.database.url,
        "API__HOST": settings.api.host,
        "API__PORT": settings.api.port,
    }
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}


def _last_lines(data_dir: DataDir, role: str) -> str:
    lines = data_dir.log(role).read_text(errors="replace").splitlines()
    return "\n  ".join(lines[-8:])
