"""Invalid, truncated and abandoned requests over real sockets: none logs an error."""

import asyncio
import json
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from query_api import tokens
from sinks.sql.engine import open_database
from tests.fixtures.migrated import create_migrated
from tests.fixtures.waiting import eventually
from tests.integration.producer_api.serving import Role, responds_ok, running

API = """
from producer_api.http.create_app import create_app
from tests.component.producer_api.fake_kafka import FakeKafka
app = create_app(settings, connection=FakeKafka())
"""
QUERY = """
from query_api.app import create_query
app = create_query(settings)
"""
WEB = """
from prometheus_client import CollectorRegistry
from headrace.roles.web import create_web
app = create_web(settings, ready_checks=[], registry=CollectorRegistry())
"""
RUN = """
import logging, sys
from producer_api.http.server import serve_app
from schemas.settings import load_settings
logging.basicConfig(level=logging.INFO)
settings = load_settings()
{app}
sys.exit(serve_app(app, settings.api))
"""
#: Random requests per role.
RANDOM_CASES = 400

EVENT = json.dumps({"type": "copy", "site_id": "shop", "session_id": "s"}).encode()
HEAD = b"POST /api/event HTTP/1.1\r\nHost: h\r\n"
POST = HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /docs HTTP/1.1\r\nHost: h\r\n\r\n"
LIST = b"GET /api/sites/shop/alerts HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
STREAM = (
    b"GET /api/sites/shop/live/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
)
LARGE = b"X: " + b"a" * 70_000 + b"\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

#: Requests and fragments: sent alone, truncated anywhere, and concatenated at random.
FRAGMENTS = [
    POST,
    GET,
    LIST,
    STREAM,
    HEAD + LARGE + b"\r\n",
    (HEAD + LARGE + b"\r\n") * 3,
    HEAD + b"".join(b"h%d: x\r\n" % n for n in range(6_000)) + b"\r\n",
    b"GET /" + b"a" * 90_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    HEAD + UPGRADE + LARGE + b"\r\n",
    HEAD + UPGRADE + b"Sec-WebSocket-Key: eA==\r\n\r\n\x81\x05hello",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\nabc",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://[::1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://h:99999/%ff%00?%zz HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET //h/..%2f/\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\xff: x\r\n\r\n",
    b"GET ?x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a\0b HTTP/1.1\r\nX\0: a\0\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /\r\n",
    b"QUERY / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"F" * 100 + b" / HTTP/1.1\r\n\r\n",
    HEAD + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n",
    HEAD + b"Content-Length: 60000\r\n\r\n{",
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    CHUNKED + b"%x\r\n" % len(EVENT) + EVENT + b"\r\n0\r\n\r\n",
    CHUNKED + b"zz\r\n",
    CHUNKED + b"ffffffffffffffffff\r\n",
    CHUNKED + b"5;" + b"e" * 70_000 + b"\r\nabcde\r\n0\r\n\r\n",
    CHUNKED + b"0\r\n" + LARGE + b"\r\n",
    CHUNKED + b"0\r\nX: y\r\nContent-Length: 5\r\n\r\n",
    POST * 100,
    GET * 50,
    LIST * 30,
    (POST + GET) * 50,
    (GET + STREAM + POST) * 5,
]


def fin(connection: socket.socket) -> None:
    """Close the connection."""
    connection.close()


def rst(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half(connection: socket.socket) -> None:
    """Shut down the sending side, read briefly and close."""
    connection.settimeout(0.05)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    connection.close()


ENDS = (fin, rst, half)


@pytest.fixture(scope="module", params=[API, QUERY, WEB], ids=["api", "query", "web"])
def role(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Role, bytes]]:
    """Yield a role without Kafka, and a token of its database."""
    folder = tmp_path_factory.mktemp("fuzzed")
    url = f"sqlite:///{folder}/headrace.db"
    create_migrated(url)
    token = make_token(url)
    os.environ["HEADRACE_DATABASE__URL"] = url
    try:
        with running("127.0.0.1:1", folder, RUN.format(app=request.param)) as role:
            yield role, token
    finally:
        del os.environ["HEADRACE_DATABASE__URL"]


@pytest.fixture(autouse=True)
def check_role(role: tuple[Role, bytes]) -> Iterator[None]:
    """Check after each test that the role is healthy, has no connections and logged no error.

    Connections are counted, not open files, because the database's pool opens files too.
    """
    yield
    assert responds_ok(role[0], "/healthz")
    eventually(
        lambda: not role[0].connections(), within_seconds=40, what="the connections are closed"
    )
    check_log(role[0].log)


@pytest.mark.parametrize("end", ENDS)
def test_complete_requests(role: tuple[Role, bytes], end: Callable[[socket.socket], None]) -> None:
    """The connection ends at once, or after the first bytes of the response."""
    for fragment in FRAGMENTS:
        for waits in (False, True):
            _send(role, [fragment], end, waits=waits)
    check_log(role[0].log)


@pytest.mark.parametrize("end", ENDS)
def test_requests_truncated_at_every_byte(
    role: tuple[Role, bytes], end: Callable[[socket.socket], None]
) -> None:
    """Within a head, a body, chunks and a pipeline."""
    pipeline = POST + GET + CHUNKED + b"2;x=y\r\n{}\r\n0\r\nT: v\r\n\r\n" + POST
    for cut in range(1, len(pipeline), 1 if end is not half else 7):
        _send(role, [pipeline[:cut]], end, waits=cut % 5 == 0)
    check_log(role[0].log)


def test_random_requests(role: tuple[Role, bytes], request: pytest.FixtureRequest) -> None:
    """Concatenated fragments with changed bytes, in packets of any size; failures show the seed."""
    seed = int(os.environ.get("HEADRACE_TEST_SEED", str(time.time_ns())))
    chance = random.Random(f"{seed}{request.node.name}")  # noqa: S311 - not a secret
    for _ in range(RANDOM_CASES):
        sent = bytearray(b"".join(chance.choices(FRAGMENTS, k=chance.randint(1, 4))))
        for _ in range(chance.choice((0, 0, 1, 3, 10))):
            sent[chance.randrange(min(len(sent), 500))] = chance.randrange(256)
        sent = sent[: chance.choice((len(sent), chance.randint(1, len(sent))))]
        cuts = sorted(chance.randrange(len(sent)) for _ in range(chance.choice((0, 1, 5))))
        packets = [bytes(sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
        _send(role, packets, chance.choice(ENDS), waits=chance.random() < 0.3)
    check_log(role[0].log, f"HEADRACE_TEST_SEED={seed}")


def _send(
    role: tuple[Role, bytes],
    packets: list[bytes],
    end: Callable[[socket.socket], None],
    *,
    waits: bool,
) -> None:
    connection = role[0].connect()
    with suppress(OSError):
        for packet in packets:
            connection.sendall(packet.replace(b"{token}", role[1]))
        if waits:
            connection.settimeout(0.05)
            connection.recv(100)
    end(connection)


def make_token(url: str) -> bytes:
    """Return a token that reads all sites."""

    async def create() -> str:
        database = open_database(url)
        try:
            return await database.run(lambda c: tokens.create(c, "fuzz", None))
        finally:
            await database.close()

    return asyncio.run(create()).encode()


def check_log(log: Path, seed: str = "") -> None:
    """Fail if the log has an error, and show the lines from there on."""
    lines = log.read_text().splitlines()
    errors = [
        position
        for position, line in enumerate(lines)
        if any(word in line for word in ("Traceback", "ERROR", "CRITICAL"))
    ]
    if errors:
        pytest.fail("\n".join([seed, *lines[max(errors[0] - 3, 0) :]]), pytrace=False)
