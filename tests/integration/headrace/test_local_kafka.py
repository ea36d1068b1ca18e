"""The local broker: start, kill, restart."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace.errors import UserError
from headrace.local.broker import archive, class_archive
from headrace.local.broker.address import find_address
from headrace.local.broker.java import find_java
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import LOOPBACK, free_port
from headrace.local.process import is_alive, read_pid
from tests.fixtures.waiting import eventually
from tests.integration.headrace.records import read, write

# A parent like `headrace up`; prints the address of its broker and waits to be killed.
_PARENT = """
import signal, sys
from pathlib import Path
from headrace.local.broker.local_kafka import LocalKafka
with LocalKafka(Path(sys.argv[1])) as broker:
    print(broker.bootstrap, flush=True)
    signal.pause()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Yield a data directory with a name that Java misreads; remove it, because it is large."""
    path = tmp_path / "an ünusual, name"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the data directory of a broker that several tests use."""
    path = tmp_path_factory.mktemp("running")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def running(shared_directory: Path) -> Iterator[LocalKafka]:
    """Yield this broker."""
    archive.prepare()
    with LocalKafka(shared_directory) as broker:
        yield broker


async def test_a_record_is_written_and_read(running: LocalKafka) -> None:
    """By an ordinary client."""
    await write(running.bootstrap, "records", b"a record")

    assert await read(running.bootstrap, "records") == b"a record"


@pytest.mark.fault
async def test_a_killed_broker_restarts_with_its_records(directory: Path) -> None:
    """At the same address."""
    broker = LocalKafka(directory)
    with broker:
        await write(broker.bootstrap, "kept", b"before the kill")
        address, pid = broker.bootstrap, broker.process.pid
        assert read_pid(directory / "run" / "kafka.pid") == pid
        os.kill(pid, signal.SIGKILL)
        broker.process.wait(10)
        broker.start()
        await asyncio.to_thread(broker.wait_ready)

        assert broker.bootstrap == address
        assert await read(address, "kept") == b"before the kill"

    assert not list((directory / "run").glob("kafka.[ap]*"))


def _start_parent(directory: Path) -> tuple[subprocess.Popen[str], str]:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        return parent, parent.stdout.readline().strip()


@pytest.mark.fault
async def test_the_broker_dies_with_a_killed_parent_and_loses_nothing(directory: Path) -> None:
    """The next start, here at a given port, waits for the exit of the old JVM."""
    parent, address = _start_parent(directory)
    pid = read_pid(directory / "run" / "kafka.pid")
    assert pid is not None
    assert find_address(directory) == address
    await write(address, "kept", b"before the kill")
    parent.kill()
    parent.wait()

    with LocalKafka(directory, port=free_port()) as broker:
        assert not is_alive(pid)
        assert broker.bootstrap != address
        assert await read(broker.bootstrap, "kept") == b"before the kill"


def test_it_is_small_and_listens_on_loopback_only(running: LocalKafka) -> None:
    """Measured: 210 MB fresh, 290 MB after a million records; 512 MB is the limit."""
    jvm = psutil.Process(running.process.pid)
    listening = [c for c in jvm.net_connections("tcp") if c.status == psutil.CONN_LISTEN]

    assert {str(c.laddr[0]).removeprefix("::ffff:") for c in listening} == {LOOPBACK}
    assert jvm.memory_info().rss < 400 * 2**20


def test_it_loads_its_classes_from_the_archive(running: LocalKafka) -> None:
    """That of `make setup`."""
    jvm = psutil.Process(running.process.pid)
    created = class_archive.archive_of(find_java())

    assert created is not None
    assert created.file.stat().st_size > 10_000_000
    assert str(created.file) in {one.path for one in jvm.memory_maps()}


def test_the_owner_of_a_port_in_use_is_named(directory: Path) -> None:
    """No process is started, and the lock is released."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        broker = LocalKafka(directory, port=port)
        with pytest.raises(UserError, match=f"Port {port} .* in use by .*process {os.getpid()}"):
            broker.start()

    assert not list((directory / "run").glob("kafka.[ap]*"))


def test_a_directory_has_one_broker(running: LocalKafka, shared_directory: Path) -> None:
    """A second one fails; the first one continues."""
    with pytest.raises(UserError, match="already runs the broker"), LocalKafka(shared_directory):
        pass

    assert running.process.poll() is None
    assert find_address(shared_directory) == running.bootstrap


def test_a_failed_start_is_explained(directory: Path) -> None:
    """With the last lines of the log, and its path."""
    (directory / "kafka" / "data").mkdir(parents=True)  # a storage that is not formatted
    with pytest.raises(UserError) as caught, LocalKafka(directory):
        pass

    assert "meta.properties" in str(caught.value)
    assert str(directory / "logs" / "kafka.log") in str(caught.value)
    eventually(
        lambda: read_pid(directory / "run" / "kafka.pid") is None,
        within_seconds=1,
        what="the pid file is removed",
    )
