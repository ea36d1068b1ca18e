"""The check whether a Kafka broker is ready."""

import socket
import threading

import pytest

from headrace.local.broker.ports import LOOPBACK, free_port
from headrace.local.broker.probe import is_ready

_GOOD = bytes.fromhex("00000010 00000007 0000 00000000 000000000000".replace(" ", ""))


def _serve_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(64)
        connection.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "is_broker"),
    [(_GOOD, True), (b"HTTP/1.1 400 Bad Request\r\n", False), (_GOOD[:6], False), (b"", False)],
)
def test_only_a_valid_response_counts(answer: bytes, is_broker: bool) -> None:
    """Another program may listen on the port, or the response be incomplete."""
    with socket.create_server((LOOPBACK, 0)) as server:
        serving = threading.Thread(target=_serve_once, args=(server, answer))
        serving.start()

        assert is_ready(server.getsockname()[1], 5) is is_broker
        serving.join()


def test_a_closed_port_is_not_ready() -> None:
    """The connection is refused."""
    assert not is_ready(free_port(), 5)


def test_a_port_without_a_response_is_not_ready() -> None:
    """The request times out."""
    with socket.create_server((LOOPBACK, 0)) as server:
        assert not is_ready(server.getsockname()[1], 0.05)
