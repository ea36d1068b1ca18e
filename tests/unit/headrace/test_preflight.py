"""Checks of the broker and the database before `headrace up` starts a process."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.local.broker.ports import LOOPBACK, free_port
from headrace.up.preflight import check_broker, check_database
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings

_GOOD = bytes.fromhex("0000001000000007000000000000000000000000")


def _answering(answer: bytes) -> tuple[int, Callable[[], None]]:
    server = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, server:
            connection.recv(64)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return server.getsockname()[1], thread.join


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a Kafka broker"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "expects TLS"),
        (b"", "not a Kafka broker, or expects TLS"),
    ],
)
def test_another_server_is_no_broker(answer: bytes, says: str) -> None:
    """The message suggests why."""
    port, join = _answering(answer)
    with pytest.raises(UserError, match=f"No Kafka broker responds at {LOOPBACK}:{port} .*{says}"):
        check_broker(KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port}"))
    join()


def test_one_reachable_broker_is_enough() -> None:
    """As for any client."""
    port, join = _answering(_GOOD)
    check_broker(KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{free_port()},{LOOPBACK}:{port}"))
    join()


def test_unreachable_brokers_are_named() -> None:
    """Each with its reason."""
    port = free_port()
    with pytest.raises(UserError, match=rf"{port}: the connection is refused; no\.invalid port 9"):
        check_broker(KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port},no.invalid:9"))


@pytest.mark.parametrize("kind", ["directory", "other", "under a file"])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, kind: str) -> None:
    """It is not changed."""
    file = tmp_path / "x.db"
    if kind == "directory":
        file.mkdir()
    elif kind == "other":
        file.write_text("this is a text")
    else:
        file.write_text("a file")
        file /= "y.db"

    with pytest.raises(UserError, match=f"The database {file} "):
        check_database(DatabaseSettings(url=f"sqlite:///{file}"))


def test_a_missing_database_is_accepted(tmp_path: Path) -> None:
    """It is created later, with its directories."""
    check_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/a/b/x.db"))

    assert not list(tmp_path.iterdir())


def test_an_unreachable_server_is_named() -> None:
    """Without the password."""
    port = free_port()
    with pytest.raises(UserError, match=rf"postgresql://hr@{LOOPBACK}:{port}/x cannot") as caught:
        check_database(DatabaseSettings(url=f"postgresql://hr:hunter2@{LOOPBACK}:{port}/x"))

    assert "hunter2" not in str(caught.value)
