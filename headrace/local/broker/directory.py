"""The broker's files in a data directory: `kafka/`, `run/kafka.*` and `logs/kafka.log`."""

import base64
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import IO

import psutil

from headrace.errors import UserError
from headrace.local import file_lock, process
from headrace.local.disk_space import write_atomically
from headrace.local.permissions import restrict_tree
from headrace.local.run_log import RunLog

_TEMPLATES = Path(__file__).with_name("config")
_LAST_LINES = 12
_ORPHAN_SECONDS = 10.0


class BrokerDirectory:
    """The broker's files in a data directory, locked by one broker at a time.

    The JVM runs in `home` and its settings use relative paths, because Kafka and Java misread
    spaces, commas and non-ASCII characters in absolute ones.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self.home = self._data_dir / "kafka"
        self.log = self._data_dir / "logs" / "kafka.log"
        self.settings = Path("server.properties")
        self._run = self._data_dir / "run"
        self._lock: IO[str] | None = None

    @property
    def jvm_options(self) -> list[str]:
        """The JVM options for logging, and to recognize the broker of this data directory."""
        return ["-Dlog4j2.configurationFile=log4j2.xml", self._id_option]

    @property
    def _id_option(self) -> str:
        return f"-Dheadrace.data.dir={self._data_dir}"

    def lock(self) -> None:
        """Lock the files. Raises UserError if another broker has the lock."""
        try:
            for folder in (self.home, self.log.parent, self._run):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                restrict_tree(folder)
            lock = file_lock.acquire(self._run / "kafka.lock")
        except BlockingIOError:
            raise self._in_use("kafka.lock") from None
        except OSError as error:
            raise UserError(f"The broker cannot use {self._data_dir}: {error}.") from error
        try:
            self._wait_for_orphan()
        except TimeoutError:
            lock.close()
            raise self._in_use("kafka.pid") from None
        self._lock = lock

    def release(self) -> None:
        """Remove the pid file and the address, and release the lock."""
        if self._lock is not None:
            (self._run / "kafka.pid").unlink(missing_ok=True)
            (self._run / "kafka.address").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def write_settings(self, port: int, controller_port: int) -> None:
        """Write the settings of the broker and of its log."""
        self._fill("server.properties", port=port, controller_port=controller_port, data="data")
        self._fill("log4j2.xml", log="../logs/kafka.log")

    def format(
        self,
        run_java: Sequence[str],
        env: Mapping[str, str],
        cluster_id: str | None = None,
        template: Path | None = None,
    ) -> None:
        """Format the storage, unless it is formatted already.

        `run_java` is the command line up to the class name. Without `cluster_id`, a random one is
        used. `template` is a formatted storage to copy, which saves a second; it is created if
        missing.

        Raises UserError with Kafka's error message.
        """
        data, unfinished = self.home / "data", self.home / "data.new"
        if data.exists():
            return
        cluster_id = cluster_id or new_cluster_id()
        # Renamed when it is complete: Kafka does not start with an incomplete storage.
        shutil.rmtree(unfinished, ignore_errors=True)
        if template is not None and template.exists():
            shutil.copytree(template, unfinished)
            _assign_ids(unfinished, cluster_id)
        else:
            self._run_format_tool(run_java, env, cluster_id)
            if template is not None:
                _save_template(unfinished, template)
        restrict_tree(unfinished)  # the template may be readable by others
        unfinished.rename(data)

    def _run_format_tool(
        self, run_java: Sequence[str], env: Mapping[str, str], cluster_id: str
    ) -> None:
        settings = (self.home / self.settings).read_text()
        temporary = self.home / "format.properties"
        temporary.write_text(settings.replace("log.dirs=data", "log.dirs=data.new"))
        tool = ["kafka.tools.StorageTool", "format", "-c", temporary.name, "-t", cluster_id]
        if process.spawn([*run_java, *tool], log=self.log, env=env, cwd=self.home).wait():
            output = "\n  ".join(self.last_lines())
            raise UserError(f"Kafka could not format its storage in {self.home}:\n  {output}")
        temporary.unlink()

    def write_pid(self, pid: int) -> None:
        """Write the JVM's process id to `run/kafka.pid`."""
        process.write_pid(self._run / "kafka.pid", pid)

    def write_address(self, address: str) -> None:
        """Write the broker's address to `run/kafka.address`."""
        write_atomically(self._run / "kafka.address", f"{address}\n")

    def last_lines(self) -> list[str]:
        """Return the last lines of the log, without the frames of stack traces."""
        lines = RunLog(self.log).lines()
        return [line for line in lines if not line.startswith("\tat ")][-_LAST_LINES:]

    def _in_use(self, pid_file: str) -> UserError:
        owner = process.read_pid(self._run / pid_file)
        name = f"process {owner}" if owner else "another process"
        return UserError(
            f"{name.capitalize()} already runs the broker of {self._data_dir}. "
            "Stop it first, or use another data directory."
        )

    def _wait_for_orphan(self) -> None:
        """Wait until a JVM whose parent was killed has exited. Raises TimeoutError."""
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while (pid := process.read_pid(self._run / "kafka.pid")) is not None:
            try:
                if self._id_option not in psutil.Process(pid).cmdline():
                    return
            except psutil.NoSuchProcess:
                return
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.02)

    def _fill(self, name: str, **values: object) -> None:
        text = Template((_TEMPLATES / name).read_text()).substitute(values)
        (self.home / name).write_text(text)


def _assign_ids(storage: Path, cluster_id: str) -> None:
    """Set the cluster id and a new directory id in a copied storage."""
    file = storage / "meta.properties"
    properties = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    properties |= {"cluster.id": cluster_id, "directory.id": new_cluster_id()}
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _save_template(storage: Path, template: Path) -> None:
    """Copy a formatted storage to `template`, atomically."""
    with suppress(OSError), tempfile.TemporaryDirectory(dir=template.parent) as scratch:
        shutil.copytree(storage, Path(scratch) / template.name).rename(template)


def new_cluster_id() -> str:
    """Return a random id in Kafka's format: 16 bytes in base64, not starting with a dash."""
    return base64.urlsafe_b64encode(b"hr" + secrets.token_bytes(14)).decode().rstrip("=")
