"""A broker of a cluster on this machine, which can be killed and restarted."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.local import process
from headrace.local.broker import ports, probe
from headrace.local.broker.directory import BrokerDirectory
from headrace.local.broker.jars import class_path
from headrace.local.broker.java import find_java
from headrace.local.broker.local_kafka import JVM_OPTIONS
from tests.fixtures.waiting import eventually_async

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class Broker:
    """A broker process: `kill` is SIGKILL, `stop` a graceful shutdown."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.port = ports.free_port()
        self.controller_port = ports.free_port()
        self._folder = BrokerDirectory(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._argv: Sequence[str] = ()
        self._env: Mapping[str, str] = {}

    @property
    def address(self) -> str:
        """The address that it listens on."""
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def home(self) -> Path:
        """The working directory of the process."""
        return self._folder.home

    def prepare(self, voters: str, cluster_id: str, settings: str) -> None:
        """Write its settings, with `settings` in addition to those of a stack, and format it."""
        self._folder.lock()
        self._folder.write_settings(self.port, self.controller_port)
        with (self._folder.home / self._folder.settings).open("a") as file:
            file.write(settings)
            file.write(f"node.id={self.number}\ncontroller.quorum.voters={voters}\n")
        run = [str(find_java()), *JVM_OPTIONS, *self._folder.jvm_options]
        self._env = {**os.environ, "CLASSPATH": os.pathsep.join(map(str, class_path()))}
        self._folder.format(run, self._env, cluster_id)
        self._argv = [*run, "kafka.Kafka", str(self._folder.settings)]

    def start(self) -> None:
        """Start it without waiting."""
        self._process = process.spawn(
            self._argv, log=self._folder.log, env=self._env, cwd=self._folder.home
        )

    async def await_ready(self) -> None:
        """Wait until it responds, without blocking the event loop."""
        await eventually_async(
            lambda: asyncio.to_thread(probe.is_ready, self.port, 2.0),
            within_seconds=_START_SECONDS,
            what=f"broker {self.number} responds",
        )

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Shut it down gracefully: it first moves the leadership of its partitions."""
        if self._process is not None:
            process.terminate(self._process, _STOP_SECONDS)

    def release(self) -> None:
        """Kill it if it runs, and unlock its folder."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._folder.release()
