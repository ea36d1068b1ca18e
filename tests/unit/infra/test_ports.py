"""Free ports, taken ports and who has them."""

import os
import socket

import pytest

from infra.broker.ports import LOOPBACK, free_port, is_free, owner_of


def test_a_free_port_can_be_listened_on() -> None:
    """It is not one that outgoing connections are given."""
    port = free_port()

    assert port < 32768
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_port_taken_on_all_addresses_is_taken() -> None:
    """The broker would listen on one of them."""
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_the_program_that_has_a_port_is_named() -> None:
    """By its name and process id."""
    with socket.create_server((LOOPBACK, 0)) as server:
        assert f"process {os.getpid()}" in owner_of(server.getsockname()[1])


def test_a_role_is_named_without_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which the system keeps the first letters alone."""
    monkeypatch.setattr("psutil.Process.name", lambda _: "headrace web --")
    with socket.create_server((LOOPBACK, 0)) as server:
        assert owner_of(server.getsockname()[1]) == f"headrace web (process {os.getpid()})"


def test_nobody_can_be_named_for_a_free_port() -> None:
    """The sentence that the name goes into still reads well."""
    assert owner_of(free_port()) == "another program"
