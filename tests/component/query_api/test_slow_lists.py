"""Slow lists delay neither token checks nor the lists of other tokens."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, text

from query_api import concurrency, queries
from tests.component.query_api.conftest import Role, Watching

SESSIONS = "/api/sites/shop/sessions"
_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


class _SlowLists:
    """Counts the started lists of sessions, which never end by themselves."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Condition()
        self._loop = asyncio.get_running_loop()

    def read(self, connection: Connection, *_: Any) -> Any:
        asyncio.run_coroutine_threadsafe(self._add(), self._loop)
        connection.execute(text(_ENDLESS))

    async def reach(self, count: int) -> None:
        """Wait until `count` lists were started."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.count >= count)

    async def _add(self) -> None:
        async with self._changed:
            self.count += 1
            self._changed.notify_all()


@pytest.fixture
async def lists(monkeypatch: pytest.MonkeyPatch) -> _SlowLists:
    """Replace the query of sessions by an endless one."""
    lists = _SlowLists()
    monkeypatch.setattr(concurrency, "WAIT_SECONDS", 600.0)
    monkeypatch.setattr(queries, "sessions", lists.read)
    return lists


@pytest.mark.parametrize("list_seconds", [0.5])
async def test_a_slow_list_is_cancelled(role: Role, lists: _SlowLists) -> None:
    """The error says what to request instead."""
    async with role.client(await role.token()) as client:
        answer = await client.get(SESSIONS)

    assert lists.count == 1
    assert (answer.status_code, answer.json()["code"]) == (504, "too_slow")
    assert answer.json()["error"] == (
        "The query took longer than 0.5 s and was cancelled; request less, with from and to or a "
        "smaller limit"
    )


async def test_tokens_are_checked_while_all_slots_are_taken(role: Role, lists: _SlowLists) -> None:
    """Valid and unknown ones."""
    tokens = [await role.token() for _ in range(concurrency.TOTAL)]
    clients = [Watching(role.query, SESSIONS, token) for token in tokens]
    await lists.reach(concurrency.TOTAL)

    statuses = []
    for token in (await role.token(), "hr_unknown"):
        async with role.client(token) as client:
            statuses.append((await client.get("/api/sites/shop/live")).status_code)

    assert statuses == [200, 401]
    assert not any(client.task.done() for client in clients)
    await _disconnect(clients)


async def test_lists_of_one_token_do_not_block_others(role: Role, lists: _SlowLists) -> None:
    """A list over the limit is rejected, with Retry-After."""
    greedy = await role.token()
    clients = [Watching(role.query, SESSIONS, greedy) for _ in range(concurrency.PENDING_PER_TOKEN)]
    await lists.reach(concurrency.PER_TOKEN)

    async with role.client(await role.token()) as client:
        alerts = await client.get("/api/sites/shop/alerts")
    async with role.client(greedy) as client:
        rejected = await client.get("/api/sites/shop/alerts")

    assert alerts.status_code == 200
    assert (rejected.status_code, rejected.json()["code"]) == (429, "too_many_lists")
    assert rejected.headers["retry-after"] == "1"
    assert lists.count == concurrency.PER_TOKEN
    await _disconnect(clients)


async def test_a_list_without_a_free_slot_is_rejected(
    role: Role, lists: _SlowLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a timeout, with Retry-After."""
    tokens = [await role.token() for _ in range(concurrency.TOTAL + 1)]
    clients = [Watching(role.query, SESSIONS, token) for token in tokens[1:]]
    await lists.reach(concurrency.TOTAL)
    monkeypatch.setattr(concurrency, "WAIT_SECONDS", 0.1)

    async with role.client(tokens[0]) as client:
        rejected = await client.get("/api/sites/shop/alerts")

    assert (rejected.status_code, rejected.json()["code"]) == (503, "overloaded")
    assert rejected.headers["retry-after"] == "1"
    await _disconnect(clients)


async def test_the_list_of_a_disconnected_client_is_cancelled(
    role: Role, lists: _SlowLists
) -> None:
    """The next waiting list gets its slot at once."""
    token = await role.token()
    reading = [Watching(role.query, SESSIONS, token) for _ in range(concurrency.PER_TOKEN)]
    await lists.reach(concurrency.PER_TOKEN)
    for count in range(concurrency.PER_TOKEN + 1, 3 * concurrency.PER_TOKEN):
        reading.append(Watching(role.query, SESSIONS, token))
        gone = reading.pop(0)
        gone.disconnect()
        await gone.task
        await lists.reach(count)
        assert gone.sent == b""
    await _disconnect(reading)

    async with role.client(token) as other:
        assert (await _get(other, "/api/sites/shop/alerts")).status_code == 200


async def _get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    async with asyncio.timeout(20):
        return await client.get(path)


async def _disconnect(clients: list[Watching]) -> None:
    for client in clients:
        client.disconnect()
    await asyncio.gather(*(client.task for client in clients))
