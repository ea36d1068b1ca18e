"""Lists that take long delay neither token checks nor the lists of others."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text

from sinks.query import reads, slots
from tests.component.sinks.query.conftest import Role, Watching

SESSIONS = "/api/sites/shop/sessions"
_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


class _Begun:
    """Lists of sessions that were begun; they never end by themselves."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Condition()
        self._loop = asyncio.get_running_loop()

    def read(self, connection: Connection, *_: Any) -> Any:
        asyncio.run_coroutine_threadsafe(self._add(), self._loop)
        connection.execute(text(_ENDLESS))

    async def reach(self, count: int) -> None:
        """Return once so many were begun."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.count >= count)

    async def _add(self) -> None:
        async with self._changed:
            self.count += 1
            self._changed.notify_all()


@pytest.fixture
async def begun(monkeypatch: pytest.MonkeyPatch) -> _Begun:
    """Let lists of sessions never end by themselves."""
    found = _Begun()
    monkeypatch.setattr(slots, "WAIT_SECONDS", 600.0)
    monkeypatch.setattr(reads, "sessions", found.read)
    return found


@pytest.mark.parametrize("list_seconds", [0.5])
async def test_a_list_that_takes_too_long_is_ended(role: Role, begun: _Begun) -> None:
    """The answer says what to ask for instead."""
    async with role.client(await role.token()) as client:
        answer = await client.get(SESSIONS)

    assert begun.count == 1
    assert (answer.status_code, answer.json()["code"]) == (504, "too_slow")
    assert answer.json()["error"] == (
        "The read took longer than 0.5 s and was ended; ask for less, by from and to or a smaller "
        "limit"
    )


async def test_tokens_are_checked_while_all_slots_are_taken(role: Role, begun: _Begun) -> None:
    """Those that are good, and those that are not."""
    tokens = [await role.token() for _ in range(slots.TOTAL)]
    clients = [Watching(role.query, SESSIONS, token) for token in tokens]
    await begun.reach(slots.TOTAL)

    statuses = []
    for token in (await role.token(), "hr_unknown"):
        async with role.client(token) as client:
            statuses.append((await client.get("/api/sites/shop/live")).status_code)

    assert statuses == [200, 401]
    assert not any(client.task.done() for client in clients)
    await _leave(clients)


async def test_one_tokens_lists_leave_room_for_anothers(role: Role, begun: _Begun) -> None:
    """However many it asks for; one too many is refused, and told when to come back."""
    greedy = await role.token()
    clients = [Watching(role.query, SESSIONS, greedy) for _ in range(slots.PENDING_PER_TOKEN)]
    await begun.reach(slots.PER_TOKEN)

    async with role.client(await role.token()) as client:
        alerts = await client.get("/api/sites/shop/alerts")
    async with role.client(greedy) as client:
        refused = await client.get("/api/sites/shop/alerts")

    assert alerts.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_lists")
    assert refused.headers["retry-after"] == "1"
    assert begun.count == slots.PER_TOKEN
    await _leave(clients)


async def test_a_list_that_finds_no_slot_is_refused(
    role: Role, begun: _Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, and told when to come back."""
    tokens = [await role.token() for _ in range(slots.TOTAL + 1)]
    clients = [Watching(role.query, SESSIONS, token) for token in tokens[1:]]
    await begun.reach(slots.TOTAL)
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.1)

    async with role.client(tokens[0]) as client:
        refused = await client.get("/api/sites/shop/alerts")

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    await _leave(clients)


async def test_a_list_whose_client_goes_is_ended(role: Role, begun: _Begun) -> None:
    """Those that waited behind it take its place at once."""
    token = await role.token()
    reading = [Watching(role.query, SESSIONS, token) for _ in range(slots.PER_TOKEN)]
    await begun.reach(slots.PER_TOKEN)
    for count in range(slots.PER_TOKEN + 1, 3 * slots.PER_TOKEN):
        reading.append(Watching(role.query, SESSIONS, token))
        gone = reading.pop(0)
        gone.leave()
        await gone.task
        await begun.reach(count)
        assert gone.sent == b""
    await _leave(reading)

    async with role.client(token) as other:
        assert (await _get(other, "/api/sites/shop/alerts")).status_code == 200


async def _get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    async with asyncio.timeout(20):
        return await client.get(path)


async def _leave(clients: list[Watching]) -> None:
    for client in clients:
        client.leave()
    await asyncio.gather(*(client.task for client in clients))
