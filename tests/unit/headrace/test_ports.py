"""Free ports, and the owners of others."""

import os
import socket
import subprocess
import sys

import pytest

from headrace.errors import UserError
from headrace.local.broker import ports
from headrace.local.broker.ports import LOOPBACK, free_port, is_free, owner_of


def test_a_free_port_can_be_listened_on() -> None:
    """It is not an ephemeral port."""
    port = free_port()

    assert port < 32768
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_port_is_returned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if no server listens on it yet, and to one process only."""
    port = free_port()
    monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
    monkeypatch.setattr(ports, "_ATTEMPTS", 1)
    with pytest.raises(UserError, match="No free port"):
        free_port()

    program = f"""
from headrace.local.broker import ports
ports._PORTS, ports._ATTEMPTS = range({port}, {port + 1}), 1
ports.free_port()
"""
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert b"UserError: No free port" in other.stderr


def test_a_port_in_use_on_all_addresses_is_not_free() -> None:
    """The broker would listen on one of them."""
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_the_owner_of_a_port_is_named() -> None:
    """By its name and process id."""
    with socket.create_server((LOOPBACK, 0)) as server:
        assert f"process {os.getpid()}" in owner_of(server.getsockname()[1])


def test_a_role_is_named_without_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system truncates them."""
    monkeypatch.setattr("psutil.Process.name", lambda _: "headrace web --")
    with socket.create_server((LOOPBACK, 0)) as server:
        assert owner_of(server.getsockname()[1]) == f"headrace web (process {os.getpid()})"


def test_a_free_port_has_no_owner() -> None:
    """The result fits into an error message."""
    assert owner_of(free_port()) == "another program"
