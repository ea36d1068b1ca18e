"""Whether it is a Kafka broker that answers."""

import socket
import threading

import pytest

from infra.broker.ports import LOOPBACK, free_port
from infra.broker.probe import answers

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
def test_only_a_brokers_answer_counts(answer: bytes, is_broker: bool) -> None:
    """Another program may listen at the port, or the answer be cut off."""
    with socket.create_server((LOOPBACK, 0)) as server:
        serving = threading.Thread(target=_serve_once, args=(server, answer))
        serving.start()

        assert answers(server.getsockname()[1], 5) is is_broker
        serving.join()


def test_a_closed_port_is_no_broker() -> None:
    """It answers at once."""
    assert not answers(free_port(), 5)


def test_an_open_port_that_is_silent_is_no_broker() -> None:
    """The question is given up after its time."""
    with socket.create_server((LOOPBACK, 0)) as server:
        assert not answers(server.getsockname()[1], 0.05)
