"""Connection limits: which connections are admitted, and which are closed."""

import time

import pytest

from producer_api.access.addresses import address_key
from producer_api.http.admission import (
    MAX_OVER_LIMIT,
    PUBLIC_PER_ADDRESS,
    Admission,
)

PROXY, CLIENT, OTHER = "127.0.0.1", "8.8.8.8", "9.9.9.9"


class Fake:
    """A connection that has been idle since `since`, or that has a request."""

    def __init__(self, since: float | None = None) -> None:
        self.since = since
        self.end = ""

    def idle_since(self) -> float | None:
        """Return `since`."""
        return self.since

    def close_idle(self) -> None:
        """Record the close."""
        self.end = "closed"

    def abort(self) -> None:
        """Record the abort."""
        self.end = "aborted"


def test_the_longest_idle_connection_is_closed_at_the_limit() -> None:
    """Only one is closed if the others became idle just now."""
    admission = Admission(3, 0)
    now = time.monotonic()
    (young, old, busy) = (Fake(now), Fake(now - 50), Fake())
    for one in (young, old, busy):
        assert admission.admit(one, PROXY)

    assert admission.admit(Fake(), PROXY)
    assert [one.end for one in (young, old, busy)] == ["", "closed", ""]


def test_without_idle_connections_a_new_one_is_over_the_limit() -> None:
    """It is admitted after another is released."""
    admission = Admission(2, 0)
    kept = [Fake(), Fake()]
    assert all(admission.admit(one, PROXY) for one in kept)
    assert not admission.admit(Fake(), OTHER)

    admission.release(kept[0], PROXY)
    assert admission.admit(Fake(), OTHER)
    assert not kept[1].end


def test_one_scan_closes_many_idle_connections() -> None:
    """It closes the oldest, up to a sixteenth of the limit."""
    admission = Admission(160, 0)
    now = time.monotonic()
    idle = [Fake(now - 1_000 + n) for n in range(160)]
    assert all(admission.admit(one, PROXY) for one in idle)
    assert admission.admit(Fake(), PROXY)
    assert [one.end for one in idle] == ["closed"] * 10 + [""] * 150


@pytest.mark.parametrize(("per_address", "limit"), [(0, PUBLIC_PER_ADDRESS), (5, 5)])
def test_an_address_cannot_displace_others(per_address: int, limit: int) -> None:
    """At the limit of an address, only its own idle connections are closed."""
    admission = Admission(1_000, per_address)
    theirs = Fake(0.0)
    assert admission.admit(theirs, OTHER)
    own = [Fake() for _ in range(limit)]
    assert all(admission.admit(one, CLIENT) for one in own)
    assert not admission.admit(Fake(), CLIENT)
    assert admission.admit(Fake(), OTHER)

    time.sleep(0.11)  # the next scan after one that found nothing
    own[3].since = time.monotonic()
    assert admission.admit(Fake(), CLIENT)
    assert (own[3].end, theirs.end) == ("closed", "")


def test_a_private_address_has_no_limit_unless_configured() -> None:
    """All connections may come from a reverse proxy; a configured limit applies to all."""
    many = PUBLIC_PER_ADDRESS + 100
    admission = Admission(many, 0)
    assert all(admission.admit(Fake(), PROXY) for _ in range(many))
    admission = Admission(many, 2)
    assert [admission.admit(Fake(), PROXY) for _ in range(3)] == [True, True, False]


def test_connections_over_a_limit_are_bounded() -> None:
    """The oldest is aborted."""
    admission = Admission(1, 0)
    assert admission.admit(Fake(), PROXY)
    over = [Fake() for _ in range(MAX_OVER_LIMIT + 3)]
    assert not any(admission.admit(one, PROXY) for one in over)
    assert [one.end for one in over] == ["aborted"] * 3 + [""] * MAX_OVER_LIMIT


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2600:1:2:3:4:5:6:7", "2600:1:2:3::/64"),
        ("2600:1:2:3::", "2600:1:2:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("/run/headrace.sock", ""),
    ],
)
def test_an_ipv6_client_is_counted_by_its_network(host: str, key: str) -> None:
    """A client can use all addresses of its /64."""
    assert address_key(host) == key
    assert Admission(10, 0).admit(Fake(), host)
