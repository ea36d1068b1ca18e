"""Connection limits: one for the server, and one per client address.

At a limit, the connections that were idle for longest are closed, so that idle connections never
keep a client out. Clients behind a reverse proxy share the proxy's address. A proxy's address is
rarely globally routable, so only the server's limit applies to addresses that are not, unless a
limit per address is configured.
"""

import time
from heapq import nsmallest
from typing import Protocol

from producer_api.access.addresses import address_key, is_public

#: The limit of a globally routable address: enough for the browsers of an office behind NAT.
PUBLIC_PER_ADDRESS = 256
#: Connections over a limit that stay open for one error response.
MAX_OVER_LIMIT = 128
#: A scan closes up to this fraction (1/n) of the limit, so that the next connections need none.
_CLOSE_DIVISOR = 16
#: Between scans that found no idle connection: on a full server, each costs a millisecond.
_SCAN_SECONDS = 0.1
#: Connections that were idle for less are closed only if no other is idle for longer.
_MIN_IDLE_SECONDS = 1.0


class Connection(Protocol):
    """A connection that is counted."""

    def idle_since(self) -> float | None:
        """Return when it became idle, in monotonic seconds; None while it has a request."""

    def close_idle(self) -> None:
        """Close an idle connection."""

    def abort(self) -> None:
        """Close it immediately, without flushing."""


class _Group:
    """Connections that share a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.members: set[Connection] = set()
        self._next_scan_at = 0.0

    def select_idle(self) -> list[Connection]:
        """Return the idle connections to close so that one more fits; empty if there are none."""
        now = time.monotonic()
        if now < self._next_scan_at:
            return []
        members = ((member.idle_since(), member) for member in self.members)
        idle = [(since, id(member), member) for since, member in members if since is not None]
        oldest = nsmallest(max(1, self.limit // _CLOSE_DIVISOR), idle)
        if not oldest:
            self._next_scan_at = now + _SCAN_SECONDS
        return [
            member
            for position, (since, _, member) in enumerate(oldest)
            if position == 0 or now - since >= _MIN_IDLE_SECONDS
        ]


class Admission:
    """The limits of one server. `per_address` 0 limits globally routable addresses only."""

    def __init__(self, limit: int, per_address: int) -> None:
        self._all = _Group(limit)
        self._per_address = per_address
        self._groups: dict[str, _Group] = {}
        # In insertion order.
        self._over_limit: dict[Connection, None] = {}

    def admit(self, connection: Connection, host: str) -> bool:
        """Count a connection, closing idle ones if necessary; return False if over a limit."""
        key = address_key(host)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self._limit_of(key))
        admitted = self._free_slot(group) and self._free_slot(self._all)
        if admitted:
            group.members.add(connection)
            self._all.members.add(connection)
        else:
            self._over_limit[connection] = None
            if len(self._over_limit) > MAX_OVER_LIMIT:
                oldest = next(iter(self._over_limit))
                del self._over_limit[oldest]
                oldest.abort()
        self._remove_if_empty(key)
        return admitted

    def release(self, connection: Connection, host: str) -> None:
        """Stop counting a closed connection."""
        key = address_key(host)
        self._over_limit.pop(connection, None)
        self._all.members.discard(connection)
        if (group := self._groups.get(key)) is not None:
            group.members.discard(connection)
        self._remove_if_empty(key)

    def _free_slot(self, group: _Group) -> bool:
        if len(group.members) < group.limit:
            return True
        for idle in group.select_idle():
            self._all.members.discard(idle)
            group.members.discard(idle)
            idle.close_idle()
        return len(group.members) < group.limit

    def _limit_of(self, key: str) -> int:
        if self._per_address:
            return self._per_address
        if is_public(key):
            return PUBLIC_PER_ADDRESS
        return self._all.limit

    def _remove_if_empty(self, key: str) -> None:
        if (group := self._groups.get(key)) is not None and not group.members:
            del self._groups[key]
