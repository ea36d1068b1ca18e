import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from producer_api.http.listen import ListenError, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1"])  # noqa: S104
def test_listens_on_local_addresses_and_names(host: str) -> None:
    """Port 0 is any free port."""
    with listen(host, 0) as listener:
        assert listener.family == socket.AF_INET
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("nonsense.invalid", "there is no host of this name"),
        ("999.1.1.1", "there is no host of this name"),
        ("::1::2", "there is no host of this name"),
        ("a..b", "there is no host of this name"),
        (f"{'x' * 70}.invalid", "there is no host of this name"),
        ("bücher.invalid", "there is no host of this name"),
        ("", "the host is empty"),
        (" ", "the host is empty"),
        ("127.0.0.1:8080", "the host contains a port"),
        ("localhost:", "the host contains a port"),
        ("[::1]:8080", "the host contains a port"),
        ("[::1]", "write an IPv6 address without brackets"),
        ("http://127.0.0.1", "this is a URL"),
        ("http://127.0.0.1:8080/", "this is a URL"),
        ("127.0.0.1/8", "a host is a name or an address and nothing else"),
        ("me@localhost", "a host is a name or an address and nothing else"),
        ("*", "a host is a name or an address and nothing else"),
        (" 127.0.0.1", "a host is a name or an address and nothing else"),
        ("'127.0.0.1'", "a host is a name or an address and nothing else"),
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("224.0.0.1", "224.0.0.1 is a multicast or broadcast address"),
        ("255.255.255.255", "255.255.255.255 is a multicast or broadcast address"),
    ],
)
def test_an_invalid_host_is_an_error(host: str, reason: str) -> None:
    """The message names the host, the port and the reason."""
    with pytest.raises(ListenError) as raised:
        listen(host, 8080)

    sentence = str(raised.value)
    assert sentence.startswith(f"Cannot listen on host {host!r}, port 8080: {reason}")
    assert "\n" not in sentence


def test_a_name_of_another_machine_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names its address."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 8080))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(
        ListenError, match=r"'example.com', port 8080: 192.0.2.7 is not an address of"
    ):
        listen("example.com", 8080)


def test_a_port_in_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller can then look for the process that uses it."""
    with listen("127.0.0.1", 0) as listener, pytest.raises(ListenError) as raised:
        listen("127.0.0.1", listener.getsockname()[1])

    assert raised.value.is_in_use


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "as the system says it")

    return fail


def test_a_privileged_port_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faked, because root may use such ports."""
    monkeypatch.setattr(socket, "create_server", _failing(errno.EACCES))

    with pytest.raises(ListenError, match="permission denied for port 80; ports over 1023"):
        listen("127.0.0.1", 80)


def test_other_errors_have_the_systems_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, too many open files."""
    monkeypatch.setattr(socket, "create_server", _failing(errno.EMFILE))

    with pytest.raises(ListenError, match="port 80: Too many open files"):
        listen("127.0.0.1", 80)
