"""The broker of one data directory: prepare, start, wait for, stop."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra import process
from infra.broker import archive, ports, probe
from infra.broker.folder import BrokerFolder
from infra.broker.jars import class_path, kafka_folder
from infra.broker.java import find_java
from infra.errors import UserError

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_PROBE_SECONDS = 2.0
JVM_OPTIONS = (
    # One machine, a few MB a second: the simple collector and compiler start faster and stay small.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx384m",
    "-XX:+ExitOnOutOfMemoryError",
    # What runs a few times a second at rest is compiled within seconds, and not after minutes.
    "-XX:CompileThresholdScaling=0.2",
    # For jstat and jps alone, twenty times a second.
    "-XX:-UsePerfData",
)
#: In the locale C, Java cannot read a directory's name that is not ASCII.
_LOCALE = {"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}


class LocalKafka:
    """A single-node Kafka on 127.0.0.1 that keeps its data in `<data_dir>/kafka`.

    `start()` and `wait_ready()`, later `stop()`; or `with` for all three.
    After the JVM has died, `start()` starts it again at the same address. The JVM is our direct
    child and is killed when the thread that called `start()` ends: call it from the main thread.

    Without `port`, a free one is chosen at the first start. `options` are more for the JVM.
    """

    def __init__(
        self, data_dir: Path, *, port: int | None = None, options: Sequence[str] = ()
    ) -> None:
        self._folder = BrokerFolder(data_dir)
        self._asked_port = port
        self._options = options
        self._port: int | None = None
        self._argv: list[str] = []
        self._env: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    @property
    def bootstrap(self) -> str:
        """The broker's address, `127.0.0.1:<port>`, known once it was started."""
        return f"{ports.LOOPBACK}:{self._port}"

    @property
    def log(self) -> Path:
        """The broker's log file, at most 10 MB, with one earlier one of that size beside it."""
        return self._folder.log

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The JVM that was started last."""
        if self._process is None:
            raise RuntimeError("the broker was not started")
        return self._process

    def start(self) -> None:
        """Start the JVM; prepare the data directory before the first start.

        Fetches Kafka when this machine does not have it yet. Returns before the broker is ready.
        Raises UserError when the port is taken, another broker uses the data directory, it cannot
        be written, or Kafka cannot be fetched; OSError when a file cannot be written, as on a full
        disk. Nothing runs then.
        """
        if not self._argv:
            self._prepare()
        self._process = process.spawn(
            self._argv, log=self._folder.log, env=self._env, cwd=self._folder.home
        )
        try:
            self._folder.write_pid(self._process.pid)
        except OSError:
            # Nobody would find it, and the next start would begin a second one.
            process.terminate(self._process, _STOP_SECONDS)
            raise
        self._deadline = time.monotonic() + _START_SECONDS

    def wait_ready(self) -> None:
        """Wait until the broker answers. Raises UserError when it ends or takes a minute."""
        while True:
            # First: whatever else listens there may answer, too.
            if self.process.poll() is not None:
                raise self.failure()
            if self._port is not None and probe.answers(self._port, _PROBE_SECONDS):
                self._folder.write_address(self.bootstrap)
                return
            if time.monotonic() > self._deadline:
                raise UserError(
                    f"The broker did not answer within {_START_SECONDS:.0f} s. "
                    f"Its log is {self.log}."
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the broker in order, or by force after 15 s, and let go of the data directory."""
        try:
            if self._process is not None:
                process.terminate(self._process, _STOP_SECONDS)
        finally:
            self._folder.release()
            self._argv = []

    def failure(self) -> UserError:
        """Return what to tell when the JVM ended by itself: its exit code and last log lines."""
        said = "\n  ".join(self._folder.last_lines())
        return UserError(
            f"The broker has ended (exit code {self.process.poll()}). "
            f"The last lines of {self.log}:\n  {said}"
        )

    def _prepare(self) -> None:
        java, jars = find_java(), class_path()
        self._folder.lock()
        try:
            port = self._choose_port()
            self._folder.write_settings(port, ports.free_port(other_than=port))
            run = [str(java), *JVM_OPTIONS, *self._folder.jvm_options]
            more = [*archive.options(java), *self._options]
            # In the environment, since on the command line it would fill the screen of every `ps`.
            self._env = {**os.environ, **_LOCALE, "CLASSPATH": os.pathsep.join(map(str, jars))}
            self._folder.format(run, self._env, blank=kafka_folder() / "blank")
        except BaseException:
            self._folder.release()
            raise
        self._port = port
        self._argv = [*run, *more, "kafka.Kafka", str(self._folder.settings)]

    def _choose_port(self) -> int:
        if self._asked_port is None:
            if self._port is not None and ports.is_free(self._port):
                return self._port
            return ports.free_port()
        if not ports.is_free(self._asked_port):
            raise UserError(
                f"Port {self._asked_port} of {ports.LOOPBACK} is taken by "
                f"{ports.owner_of(self._asked_port)}. "
                "Stop that, give another port, or give none to have a free one chosen."
            )
        return self._asked_port

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
