"""The local broker of a data directory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.errors import UserError
from headrace.local import process
from headrace.local.broker import class_archive, ports, probe
from headrace.local.broker.directory import BrokerDirectory
from headrace.local.broker.jars import class_path, kafka_directory
from headrace.local.broker.java import find_java

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_PROBE_SECONDS = 2.0
JVM_OPTIONS = (
    # The serial collector and the C1 compiler start faster and use less memory.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx384m",
    # The default is a 64th of the machine's memory, a third of it for new objects, and all of that
    # becomes resident. A small part for new objects costs no CPU: it fits into the caches.
    "-Xms80m",
    "-Xmn24m",
    "-XX:+ExitOnOutOfMemoryError",
    # Compiles the code that an idle broker runs within seconds instead of minutes.
    "-XX:CompileThresholdScaling=0.2",
    # Only jstat and jps need them; they are written twenty times a second.
    "-XX:-UsePerfData",
)
#: In the locale C, Java cannot open directories with non-ASCII names.
_LOCALE = {"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}


class LocalKafka:
    """A single-node Kafka on 127.0.0.1 that keeps its data in `<data_dir>/kafka`.

    Call `start()`, `wait_ready()` and `stop()`, or use it as a context manager. After the JVM has
    exited, `start()` starts it again at the same address. Call `start()` from the main thread: the
    JVM is killed when the thread that started it ends.

    Without `port`, a free port is chosen at the first start. `options` are JVM options.
    """

    def __init__(
        self, data_dir: Path, *, port: int | None = None, options: Sequence[str] = ()
    ) -> None:
        self._folder = BrokerDirectory(data_dir)
        self._requested_port = port
        self._options = options
        self._port: int | None = None
        self._argv: list[str] = []
        self._env: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    @property
    def bootstrap(self) -> str:
        """The broker's address, `127.0.0.1:<port>`, after the first start."""
        return f"{ports.LOOPBACK}:{self._port}"

    @property
    def log(self) -> Path:
        """The broker's log file, which is rotated at 10 MB; one rotated file is kept."""
        return self._folder.log

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The JVM of the last start."""
        if self._process is None:
            raise RuntimeError("the broker was not started")
        return self._process

    def start(self) -> None:
        """Start the JVM; return before the broker is ready.

        The first start downloads Kafka if it is missing, and creates the data directory. Raises
        UserError if the port is in use, another broker uses the data directory, the data directory
        cannot be written, or Kafka cannot be downloaded; OSError if a file cannot be written, as on
        a full disk. No process runs after an error.
        """
        if not self._argv:
            self._prepare()
        self._process = process.spawn(
            self._argv, log=self._folder.log, env=self._env, cwd=self._folder.home
        )
        try:
            self._folder.write_pid(self._process.pid)
        except OSError:
            # Without a pid file, the next start would not find this process.
            process.terminate(self._process, _STOP_SECONDS)
            raise
        self._deadline = time.monotonic() + _START_SECONDS

    def wait_ready(self) -> None:
        """Wait until the broker is ready. Raises UserError if it exits or takes a minute."""
        while True:
            # First, because another program on this port could answer the probe.
            if self.process.poll() is not None:
                raise self.failure()
            if self._port is not None and probe.is_ready(self._port, _PROBE_SECONDS):
                self._folder.write_address(self.bootstrap)
                return
            if time.monotonic() > self._deadline:
                raise UserError(
                    f"The broker was not ready within {_START_SECONDS:.0f} s. "
                    f"Its log is {self.log}."
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the broker, by SIGKILL after 15 s, and release the data directory."""
        try:
            if self._process is not None:
                process.terminate(self._process, _STOP_SECONDS)
        finally:
            self._folder.release()
            self._argv = []

    def failure(self) -> UserError:
        """Return an error with the exit code and the last log lines of a JVM that has exited."""
        lines = "\n  ".join(self._folder.last_lines())
        return UserError(
            f"The broker has exited (exit code {self.process.poll()}). "
            f"The last lines of {self.log}:\n  {lines}"
        )

    def _prepare(self) -> None:
        java, jars = find_java(), class_path()
        self._folder.lock()
        try:
            port = self._choose_port()
            self._folder.write_settings(port, ports.free_port())
            run = [str(java), *JVM_OPTIONS, *self._folder.jvm_options]
            options = [*class_archive.options(java), *self._options]
            # Not on the command line, where it would fill the output of `ps`.
            self._env = {**os.environ, **_LOCALE, "CLASSPATH": os.pathsep.join(map(str, jars))}
            self._folder.format(run, self._env, template=kafka_directory() / "blank")
        except BaseException:
            self._folder.release()
            raise
        self._port = port
        self._argv = [*run, *options, "kafka.Kafka", str(self._folder.settings)]

    def _choose_port(self) -> int:
        if self._requested_port is None:
            if self._port is not None and ports.is_free(self._port):
                return self._port
            return ports.free_port()
        if not ports.is_free(self._requested_port):
            raise UserError(
                f"Port {self._requested_port} of {ports.LOOPBACK} is in use by "
                f"{ports.owner_of(self._requested_port)}. "
                "Stop that process or choose another port. Without the option, a free port is used."
            )
        return self._requested_port

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
