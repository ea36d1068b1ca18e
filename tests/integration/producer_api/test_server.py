import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.waiting import eventually
from tests.integration.producer_api.serving import RUN, Role, responds_ok, running

NOWHERE = "127.0.0.1:1"
CHUNKED = (
    b"POST /api/event HTTP/1.1\r\nHost: headrace\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nabcde\r\n"
)


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """Yield a role that started without Kafka."""
    with running(NOWHERE, tmp_path_factory.mktemp("api"), MAX_CONNECTIONS="40") as role:
        yield role


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    read = b""
    while chunk := connection.recv(65_536):
        read += chunk
    return read


def if_unavailable(response: httpx.Response) -> httpx.Response | None:
    """Return the response if its status is 503, else None."""
    return response if response.status_code == 503 else None


def test_without_kafka_the_role_is_not_ready(role: Role) -> None:
    """The response and the log name the remedy, once the first connection has failed."""

    def is_named() -> bool:
        ready = role.request("GET", "/readyz")
        assert ready.status_code == 503
        return "HEADRACE_KAFKA__BOOTSTRAP_SERVERS" in ready.json()["error"]

    eventually(is_named, within_seconds=15, what="the response names the setting")
    eventually(
        lambda: "not reached" in role.log.read_text(), within_seconds=15, what="the log says so"
    )
    assert f"try {role.url}/docs" in role.log.read_text()


def test_responses_have_no_server_header(role: Role) -> None:
    """The default of uvicorn is disabled."""
    assert "server" not in role.request("GET", "/healthz").headers


def test_malformed_http_gets_a_json_error(role: Role) -> None:
    """All errors are JSON."""
    with role.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        response = read_all(connection)

    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'"code":"bad_request"' in response


def test_endless_headers_are_rejected(role: Role) -> None:
    """The server closes the connection while the client is still sending."""
    with role.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(b"X-Header: headrace\r\n" * 1_000_000)


def test_connections_over_the_limit_get_503(role: Role) -> None:
    """`/healthz` still works, and new connections are accepted after others have closed."""
    connections = [role.connect() for _ in range(40)]
    try:
        full = eventually(
            lambda: if_unavailable(role.request("POST", "/api/event")),
            within_seconds=15,
            what="the server is full",
        )
        assert full is not None
        assert (full.status_code, full.json()["code"]) == (503, "overloaded")
        assert full.headers["retry-after"] == "1"
        assert responds_ok(role, "/healthz")
    finally:
        for connection in connections:
            connection.close()
    eventually(
        lambda: role.request("POST", "/api/event").status_code == 400,
        within_seconds=15,
        what="there is capacity again",
    )


def test_idle_connections_are_closed_at_the_limit(role: Role) -> None:
    """The oldest are closed first, and new clients are always accepted."""
    idle = [role.client() for _ in range(60)]
    new = role.client()
    try:
        for number, client in enumerate(idle):
            assert client.get("/healthz").status_code == 200
            path = ("/api/event", "/docs", "/api/events")[number % 3]
            assert client.post(path).status_code in {400, 404, 405}
        for _ in range(20):
            assert role.request("POST", "/api/event").status_code == 400
        assert idle[-1].post("/api/event").status_code == 400
        assert new.post("/api/event").status_code == 400
    finally:
        for client in (*idle, new):
            client.close()


def test_connections_over_the_limit_per_address_get_503(tmp_path: Path) -> None:
    """`/healthz` and preflights still work."""
    with running(NOWHERE, tmp_path, MAX_CONNECTIONS_PER_ADDRESS="3") as role:
        held = [role.connect() for _ in range(3)]
        try:
            for connection in held:
                connection.sendall(b"POST /api/event HTTP/1.1\r\n")
            full = eventually(
                lambda: if_unavailable(role.request("POST", "/api/event")),
                within_seconds=5,
                what="the address has all its connections",
            )
            assert full is not None
            assert (full.json()["code"], full.headers["retry-after"]) == ("overloaded", "1")
            assert responds_ok(role, "/healthz")
            preflight = role.request("OPTIONS", "/api/event", headers={"Origin": "https://a.b"})
            assert preflight.status_code == 204
        finally:
            for connection in held:
                connection.close()


def test_the_limit_of_open_files_lowers_that_of_connections(tmp_path: Path) -> None:
    """The log says so, and connections over the limit get 503 without an error in the log."""
    program = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (430, 430))\n" + RUN
    with running(NOWHERE, tmp_path, program) as role:
        assert "at most 46 connections are open at once, not 10000" in role.log.read_text()
        held = []
        try:
            for _ in range(600):
                held.append(role.connect())
                held[-1].sendall(b"POST /api/event HTTP/1.1\r\n")
            assert responds_ok(role, "/healthz")
            assert role.request("POST", "/api/event").status_code == 503
        finally:
            for connection in held:
                connection.close()
        eventually(
            lambda: role.request("POST", "/api/event").status_code == 400,
            within_seconds=15,
            what="there is capacity again",
        )
        assert "Traceback" not in role.log.read_text()
        assert "Too many open files" not in role.log.read_text()


def test_a_port_in_use_is_an_error(role: Role, tmp_path: Path) -> None:
    """The message names the setting."""
    code = (
        "from producer_api.http.server import serve; from schemas.settings import load_settings\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code + "raise SystemExit(serve(load_settings()))"],
        env={"HEADRACE_API__PORT": str(role.port)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 1
    assert "HEADRACE_API__PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_sigterm_stops_gracefully(tmp_path: Path) -> None:
    """New requests get 503 until the process exits with code 0."""
    with running(NOWHERE, tmp_path) as role, role.client() as client:
        client.get("/healthz")
        role.term()
        late = eventually(
            lambda: if_unavailable(client.post("/api/event")),
            within_seconds=2,
            what="the server responds 503",
        )

        assert late is not None
        assert late.json()["code"] == "shutting_down"
        assert role.process.wait(timeout=30) == 0


def test_a_second_sigterm_stops_immediately(tmp_path: Path) -> None:
    """Even if a request is in flight."""
    with running(NOWHERE, tmp_path) as role, role.connect() as connection:
        connection.sendall(CHUNKED)
        assert responds_ok(role, "/healthz")
        role.term()
        eventually(
            lambda: "Stopping" in role.log.read_text(), within_seconds=15, what="it is stopping"
        )
        role.term()

        assert role.process.wait(timeout=30) == 1  # a graceful stop exits with 0


def test_an_incomplete_request_does_not_block_the_stop(tmp_path: Path) -> None:
    """After the deadline, the client gets 503."""
    with (
        running(NOWHERE, tmp_path, DEADLINE_SECONDS="1") as role,
        role.connect() as connection,
    ):
        connection.sendall(CHUNKED)
        assert responds_ok(role, "/healthz")
        role.term()
        response = read_all(connection)

        assert b'"code":"shutting_down"' in response
        assert role.process.wait(timeout=10) == 0
        assert "Traceback" not in role.log.read_text()
