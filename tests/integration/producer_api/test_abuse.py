"""Malicious clients over real sockets: they get an error or are closed, and others are served."""

import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.fixtures.waiting import eventually
from tests.integration.producer_api.serving import Role, responds_ok, running

_RUN = """
import logging, sys
from producer_api.http.create_app import create_app
from producer_api.http.server import serve_app
from schemas.settings import load_settings
from tests.component.producer_api.fake_kafka import FakeKafka
logging.basicConfig(level=logging.INFO)
settings = load_settings()
sys.exit(serve_app(create_app(settings, connection=FakeKafka()), settings.api))
"""

EVENT = {"type": "copy", "site_id": "shop", "session_id": "s"}
#: Clients of each kind of slowness.
SLOW = 80
#: Connections of the test itself that may be open when files are counted.
OTHERS = 5
#: The allowed growth of memory per test; many times the maximum size of a body.
MAX_GROWTH_BYTES = 64 * 1024 * 1024

HEAD = b"POST /api/event HTTP/1.1\r\nHost: headrace\r\n"


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """Yield a role with a fake Kafka."""
    folder = tmp_path_factory.mktemp("abused")
    with running("fake:1", folder, _RUN, MAX_CONNECTIONS="1000") as role:
        assert post(role, EVENT) == 202
        yield role


@pytest.fixture(autouse=True)
def check_resources(role: Role) -> Iterator[None]:
    """Check after each test that files are closed, memory is bounded and events are accepted."""
    process = psutil.Process(role.process.pid)
    (files, memory) = (process.num_fds(), process.memory_info().rss)
    yield
    eventually(
        lambda: process.num_fds() <= files + OTHERS, within_seconds=30, what="its files are closed"
    )
    assert process.memory_info().rss - memory < MAX_GROWTH_BYTES
    assert post(role, EVENT) == 202
    assert "Traceback" not in role.log.read_text()


def post(role: Role, event: object, **headers: str) -> int:
    """Post a JSON value, or bytes; return the status."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return role.request("POST", "/api/event", content=body, headers=headers).status_code


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes or resets the connection."""
    read = b""
    try:
        while chunk := connection.recv(65_536):
            read += chunk
    except ConnectionError:
        pass
    return read


def test_slow_clients_are_closed_and_others_are_served(role: Role) -> None:
    """Clients that send nothing, and clients that send a head or a body byte by byte."""
    process = psutil.Process(role.process.pid)
    files = process.num_fds()
    with ExitStack() as stack:
        connections = [stack.enter_context(role.connect()) for _ in range(3 * SLOW)]
        (heads, bodies) = (connections[:SLOW], connections[SLOW : 2 * SLOW])
        for connection in heads:
            connection.sendall(HEAD + b"X: ")
        for connection in bodies:
            connection.sendall(HEAD + b"Content-Length: 60000\r\n\r\n{")
        eventually(
            lambda: process.num_fds() >= files + 3 * SLOW - OTHERS,
            within_seconds=15,
            what="all are open",
        )

        def all_are_closed() -> bool:
            assert post(role, EVENT) == 202
            for connection in heads + bodies:
                with suppress(ConnectionError):
                    connection.send(b" ")
            return process.num_fds() <= files + OTHERS

        eventually(all_are_closed, within_seconds=60, what="all slow connections are closed")
        received = [read_all(connection) for connection in connections]
    assert sum(b'"code":"request_too_slow"' in response for response in received) >= SLOW


def test_an_endless_chunked_body_is_rejected(role: Role) -> None:
    """As soon as it exceeds the limit; a client that continues to send is disconnected."""
    chunk = b"%x\r\n%b\r\n" % (60_000, b" " * 60_000)
    with role.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * chunk)
        assert connection.recv(12) == b"HTTP/1.1 413"
        with pytest.raises(ConnectionError):
            connection.sendall(5_000 * chunk)
        assert responds_ok(role, "/healthz")


@pytest.mark.parametrize("megabytes", [10, 30])
def test_a_client_can_read_the_error_after_sending_a_large_body(role: Role, megabytes: int) -> None:
    """Most clients read only after they have sent everything."""
    connection = http.client.HTTPConnection("127.0.0.1", role.port, timeout=60)
    connection.request("POST", "/api/event", bytes(megabytes * 1024 * 1024))
    response = connection.getresponse()

    assert (response.status, json.load(response)["code"]) == (413, "body_too_large")
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: -1\r\n", b"400"),
        (b"Content-Length: 1e3\r\n", b"400"),
        (b"Content-Length: 99999999999999999999\r\n", b"400"),
        (b"Content-Length: 9999999999999\r\n", b"413"),
        (b"Content-Length: 4\r\nContent-Length: 5\r\n", b"400"),
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"Transfer-Encoding: chunked, identity\r\n", b"400"),
    ],
)
def test_an_invalid_length_is_rejected(role: Role, headers: bytes, status: bytes) -> None:
    """So are ambiguous lengths, which allow request smuggling."""
    with role.connect() as connection:
        connection.sendall(HEAD + headers + b"\r\n{}\r\n")
        connection.shutdown(socket.SHUT_WR)
        response = read_all(connection)

    assert response.startswith(b"HTTP/1.1 " + status)


def test_data_beyond_the_content_length_is_rejected(role: Role) -> None:
    """It is an invalid request, and the connection is closed."""
    with role.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n" + json.dumps(EVENT).encode())
        response = read_all(connection)

    assert response.startswith(b"HTTP/1.1 400")
    assert b"accepted" not in response


def test_gzip_bombs_are_rejected(role: Role) -> None:
    """A bomb, a nested bomb, and many empty members."""
    bomb = gzip.compress(bytes(50_000_000))
    double = gzip.compress(gzip.compress(bytes(50_000_000)))
    empty = gzip.compress(b"") * 3_000

    statuses = [post(role, body, **{"content-encoding": "gzip"}) for body in (bomb, double, empty)]

    assert statuses == [413, 400, 400]
    assert post(role, zlib.compress(b"{}"), **{"content-encoding": "gzip"}) == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 60_000, 400),
        (b'{"a":' * 10_000, 400),
        (json.dumps({**EVENT, "properties": {f"k{n}": 1 for n in range(5_000)}}).encode(), 400),
        (json.dumps({**EVENT, **{f"k{n}": 1 for n in range(5_000)}}).encode(), 202),
        (b'{"type":"copy","site_id":"shop","session_id":"\xff"}', 400),
        (b'{"type":"copy","site_id":"shop","session_id":"\\ud800"}', 400),
        (b'{"type":"copy","site_id":"shop","session_id":"s","duration":NaN}', 400),
        (b'{"type":"copy","site_id":"shop","session_id":"s","duration":1e999}', 400),
        (b'{"type":"copy","site_id":"shop","session_id":"s","own":1180591620717411303424}', 202),
        (b'{"type":"copy","site_id":"a","site_id":"shop","session_id":"s"}', 202),
        (b'\xef\xbb\xbf{"type":"copy","site_id":"shop","session_id":"s"}', 400),
        (b"\x00" * 60_000, 400),
        (b"9" * 60_000, 400),
    ],
)
def test_malicious_json_never_causes_500(role: Role, body: bytes, status: int) -> None:
    """Deep or wide objects, invalid Unicode and invalid numbers."""
    assert post(role, body) == status


def test_rejected_requests_are_not_logged(role: Role) -> None:
    """Clients cannot write to the log."""
    before = role.log.read_text()
    for body in (
        b"\x1b[31m" * 1_000,
        b"\r\nERROR forged",
        json.dumps({"type": "\r\nx" * 999}).encode(),
    ):
        assert post(role, body) == 400

    assert role.log.read_text() == before
