"""What the broker keeps on disk: settings and data in `kafka/`, ids in `run/`, a log in `logs/`."""

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

from infra import file_lock, process
from infra.disk import write_whole
from infra.errors import UserError
from infra.private import restrict_tree
from infra.run_log import RunLog

_TEMPLATES = Path(__file__).with_name("config")
_LAST_LINES = 12
_ORPHAN_SECONDS = 10.0


class BrokerFolder:
    """The broker's files in one data directory, which are one broker's at a time.

    The JVM runs in `home`, and the settings name its data and log by relative paths: Java would
    read a space, a comma or an umlaut of the directory's own name as something else.
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
        """The options that tell the JVM its log settings, and a reader of `ps` whose it is."""
        return ["-Dlog4j2.configurationFile=log4j2.xml", self._mark]

    @property
    def _mark(self) -> str:
        return f"-Dheadrace.data.dir={self._data_dir}"

    def lock(self) -> None:
        """Take the folder for us alone. Raises UserError when another broker has it."""
        try:
            for folder in (self.home, self.log.parent, self._run):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                restrict_tree(folder)
            lock = file_lock.acquire(self._run / "kafka.lock")
        except BlockingIOError:
            raise self._taken("kafka.lock") from None
        except OSError as error:
            raise UserError(f"{self._data_dir} cannot hold the broker's data: {error}.") from error
        try:
            self._outlast_orphan()
        except TimeoutError:
            lock.close()
            raise self._taken("kafka.pid") from None
        self._lock = lock

    def release(self) -> None:
        """Remove what says that a broker runs here, and let another one have the folder."""
        if self._lock is not None:
            (self._run / "kafka.pid").unlink(missing_ok=True)
            (self._run / "kafka.address").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def write_settings(self, port: int, controller_port: int) -> None:
        """Write the settings of a broker at these ports."""
        self._fill("server.properties", port=port, controller_port=controller_port, data="data")
        self._fill("log4j2.xml", log="../logs/kafka.log")

    def format(
        self,
        run_java: Sequence[str],
        env: Mapping[str, str],
        cluster_id: str | None = None,
        blank: Path | None = None,
    ) -> None:
        """Make the empty storage of a new cluster, once. `run_java` is argv up to the class name.

        Without `cluster_id` it is a cluster of its own. `blank` is where an empty storage of this
        Kafka and of node 1 is kept, or will be: to copy it takes no Java, which takes a second.

        Raises UserError with Kafka's words when that fails.
        """
        data, unfinished = self.home / "data", self.home / "data.new"
        if data.exists():
            return
        cluster_id = cluster_id or new_cluster_id()
        # Under another name until it is whole: a half-made one would never start.
        shutil.rmtree(unfinished, ignore_errors=True)
        if blank is not None and blank.exists():
            shutil.copytree(blank, unfinished)
            _give_ids(unfinished, cluster_id)
        else:
            self._make_storage(run_java, env, cluster_id)
            if blank is not None:
                _keep(unfinished, blank)
        restrict_tree(unfinished)  # the kept storage may be of a user who lets others read it
        unfinished.rename(data)

    def _make_storage(
        self, run_java: Sequence[str], env: Mapping[str, str], cluster_id: str
    ) -> None:
        settings = (self.home / self.settings).read_text()
        temporary = self.home / "format.properties"
        temporary.write_text(settings.replace("log.dirs=data", "log.dirs=data.new"))
        tool = ["kafka.tools.StorageTool", "format", "-c", temporary.name, "-t", cluster_id]
        if process.spawn([*run_java, *tool], log=self.log, env=env, cwd=self.home).wait():
            said = "\n  ".join(self.last_lines())
            raise UserError(f"Kafka could not make its storage in {self.home}:\n  {said}")
        temporary.unlink()

    def write_pid(self, pid: int) -> None:
        """Tell the JVM's process id, in `run/kafka.pid`."""
        process.write_pid(self._run / "kafka.pid", pid)

    def write_address(self, address: str) -> None:
        """Tell where the broker listens, in `run/kafka.address`."""
        write_whole(self._run / "kafka.address", f"{address}\n")

    def last_lines(self) -> list[str]:
        """Return the end of the log, without the frames of Java's stack traces."""
        lines = RunLog(self.log).lines()
        return [line for line in lines if not line.startswith("\tat ")][-_LAST_LINES:]

    def _taken(self, by: str) -> UserError:
        owner = process.read_pid(self._run / by)
        who = f"process {owner}" if owner else "another process"
        return UserError(
            f"{who.capitalize()} already runs the broker of {self._data_dir}. "
            "End it first, or give another data directory."
        )

    def _outlast_orphan(self) -> None:
        """Wait for a JVM whose parent was killed a moment ago: it is on its way out, too.

        Raises TimeoutError when it stays.
        """
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while (pid := process.read_pid(self._run / "kafka.pid")) is not None:
            try:
                if self._mark not in psutil.Process(pid).cmdline():
                    return
            except psutil.NoSuchProcess:
                return
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.02)

    def _fill(self, name: str, **values: object) -> None:
        text = Template((_TEMPLATES / name).read_text()).substitute(values)
        (self.home / name).write_text(text)


def _give_ids(storage: Path, cluster_id: str) -> None:
    """Make a copied storage one of its own; nothing else in it is of the one that was copied."""
    file = storage / "meta.properties"
    told = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    told |= {"cluster.id": cluster_id, "directory.id": new_cluster_id()}
    file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))


def _keep(storage: Path, blank: Path) -> None:
    """Keep a copy for the next storages, whole or not at all."""
    with suppress(OSError), tempfile.TemporaryDirectory(dir=blank.parent) as scratch:
        shutil.copytree(storage, Path(scratch) / blank.name).rename(blank)


def new_cluster_id() -> str:
    """Return a random id as Kafka writes them: 16 bytes in 22 letters, the first no dash."""
    return base64.urlsafe_b64encode(b"hr" + secrets.token_bytes(14)).decode().rstrip("=")
