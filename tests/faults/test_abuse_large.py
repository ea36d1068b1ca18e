"""Thousands of malicious connections at the same time as normal clients."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.faults.scenario import Scenario, sleep
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

SLOW_HEADS = 500
SLOW_BODIES = 500
KEPT_ALIVE = 2_500
SILENT = 2_500
ALL = SLOW_HEADS + SLOW_BODIES + KEPT_ALIVE + SILENT
#: Open files of this process other than these connections.
_OTHER_FILES = 500
#: Connections of the load, and other files that may be open.
_OTHERS = 30
#: The allowed growth by the first wave: the allocator keeps memory.
_MAX_KEPT_BYTES = 128 * 1024 * 1024
#: The allowed growth by the second wave.
_MAX_GROWTH_BYTES = 16 * 1024 * 1024

_HEAD = b"POST /api/event HTTP/1.1\r\nHost: headrace\r\n"
_BODY = _HEAD + b"Content-Length: 60000\r\n\r\n{"
_HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: headrace\r\n\r\n"


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Raise the limit of open files of this process."""
    (soft, hard) = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ALL + _OTHER_FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_6000_malicious_connections(scenario: Scenario) -> None:
    """500 connections send a head byte by byte, 500 a body, and 5,000 are idle: all are closed.

    Half of the idle ones never send a request. Normal clients are not affected. A second wave needs
    no more memory than the first.
    """
    web = psutil.Process(scenario.stack.pid("web"))
    before = web.memory_info().rss
    with scenario.load() as load:
        _wave(scenario, web)
        after_one = web.memory_info().rss
        _wave(scenario, web)
        after_two = web.memory_info().rss
        load.more(300)
    unexpected = set(load.statuses) - {202, 207, 400}
    assert not unexpected, f"normal clients were answered with {load.statuses}"
    assert after_one - before < _MAX_KEPT_BYTES
    assert after_two - after_one < _MAX_GROWTH_BYTES
    scenario.check()


def _wave(scenario: Scenario, web: psutil.Process) -> None:
    files = web.num_fds()
    port = scenario.stack.port
    with ExitStack() as stack:
        idle = [_connect(stack, port, _HEALTHZ) for _ in range(KEPT_ALIVE)]
        slow = [_connect(stack, port, _HEAD + b"X: ") for _ in range(SLOW_HEADS)]
        slow += [_connect(stack, port, _BODY) for _ in range(SLOW_BODIES)]
        idle += [_connect(stack, port, b"") for _ in range(SILENT)]
        eventually(
            lambda: web.num_fds() >= files + ALL - _OTHERS,
            within_seconds=15,
            what="all are open",
        )
        scenario.recover()
        closed: set[socket.socket] = set()

        def slow_are_closed() -> bool:
            sleep(1)
            closed.update(connection for connection in slow if not _send_one_byte(connection))
            return len(closed) == len(slow)

        eventually(slow_are_closed, within_seconds=60, what="the slow connections are closed")
        eventually(
            lambda: web.num_fds() <= files + _OTHERS,
            within_seconds=120,
            what="the idle connections are closed",
        )


def _connect(stack: ExitStack, port: int, data: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
    connection.sendall(data)
    return connection


def _send_one_byte(connection: socket.socket) -> bool:
    """Send a byte; return False if the connection is closed."""
    try:
        connection.send(b" ")
    except ConnectionError:
        return False
    return True
