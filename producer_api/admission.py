"""Which connections a server keeps open: a limit in all, and one for each client address.

At a limit, the connections that have waited for longest for a request are closed to make room,
so idle ones never keep a client out. A client behind a reverse proxy has the proxy's address;
a proxy is nearly always at an address that is not globally routable, so only the limit in all
counts for these, unless a limit is set for every address.
"""

import ipaddress
import time
from heapq import nsmallest
from typing import Protocol

#: The limit of a globally routable address: more than the browsers of an office behind one have.
PUBLIC_PER_ADDRESS = 256
#: Connections over a limit that are open at once, each for its one answer.
SPARE_CONNECTIONS = 128
#: Closed at once, of a limit: so that a scan makes room for more than one.
_SHARE_CLOSED = 16
#: Between scans that found nothing to close: with a full server, each costs a millisecond.
_SCAN_SECONDS = 0.1
#: A connection that waits for less is closed only if none waits for longer.
_WAITED_SECONDS = 1.0


class Connection(Protocol):
    """What the limits need to know of a connection."""

    def waits_since(self) -> float | None:
        """Return since when it waits for a request, in monotonic seconds; None: it has one."""

    def close_idle(self) -> None:
        """Close it; it waits for a request."""

    def abort(self) -> None:
        """Close it at once."""


class _Group:
    """The connections that share a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.members: set[Connection] = set()
        self._scan_at = 0.0

    def idle_to_close(self) -> list[Connection]:
        """Return the connections to close so that one more fits; empty if none may be closed."""
        now = time.monotonic()
        if now < self._scan_at:
            return []
        waiting = ((one.waits_since(), one) for one in self.members)
        idle = [(since, id(one), one) for since, one in waiting if since is not None]
        oldest = nsmallest(max(1, self.limit // _SHARE_CLOSED), idle)
        if not oldest:
            self._scan_at = now + _SCAN_SECONDS
        return [
            one
            for position, (since, _, one) in enumerate(oldest)
            if position == 0 or now - since >= _WAITED_SECONDS
        ]


class Admission:
    """The limits of one server; `per_address` 0 leaves it to the kind of address."""

    def __init__(self, limit: int, per_address: int) -> None:
        self._all = _Group(limit)
        self._per_address = per_address
        self._groups: dict[str, _Group] = {}
        # Ordered: the first is the oldest.
        self._spare: dict[Connection, None] = {}

    def admit(self, connection: Connection, host: str) -> bool:
        """Count a connection, closing idle ones if need be; return False if it is over a limit."""
        key = address_key(host)
        own = self._groups.get(key)
        if own is None:
            own = self._groups[key] = _Group(self._limit_of(key))
        admitted = self._make_room(own) and self._make_room(self._all)
        if admitted:
            own.members.add(connection)
            self._all.members.add(connection)
        else:
            self._spare[connection] = None
            if len(self._spare) > SPARE_CONNECTIONS:
                oldest = next(iter(self._spare))
                del self._spare[oldest]
                oldest.abort()
        self._forget_if_empty(key)
        return admitted

    def release(self, connection: Connection, host: str) -> None:
        """Stop counting a connection that is closed."""
        key = address_key(host)
        self._spare.pop(connection, None)
        self._all.members.discard(connection)
        if (own := self._groups.get(key)) is not None:
            own.members.discard(connection)
        self._forget_if_empty(key)

    def _make_room(self, group: _Group) -> bool:
        if len(group.members) < group.limit:
            return True
        for one in group.idle_to_close():
            self._all.members.discard(one)
            group.members.discard(one)
            one.close_idle()
        return len(group.members) < group.limit

    def _limit_of(self, key: str) -> int:
        if self._per_address:
            return self._per_address
        if key and ipaddress.ip_network(key).is_global:
            return PUBLIC_PER_ADDRESS
        return self._all.limit

    def _forget_if_empty(self, key: str) -> None:
        if (own := self._groups.get(key)) is not None and not own.members:
            del self._groups[key]


def address_key(host: str) -> str:
    """Return what a client's connections are counted by: an IPv4 address or an IPv6 /64 network.

    An IPv4-mapped address is the IPv4 address; what is no address (a socket file) is empty.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)
