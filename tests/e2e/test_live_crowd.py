"""Live numbers with many viewers and events while every role is killed once."""

import asyncio
import uuid
from collections.abc import Mapping
from itertools import count
from typing import Any

import aiohttp
import psutil
import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.e2e.watchers import StalledReader, Watcher, watching
from tests.fixtures.waiting import eventually_async

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

SITES = ("shop", "blog", "docs", "news")
READERS, SLEEPERS = 180, 20
EVENTS_PER_SECOND, BATCH = 2_000, 100
SESSIONS, VISITORS = 9_000, 6_000
ROLES = ("streams", "live", "sinks", "web")
_SECONDS_BETWEEN_KILLS = 5
_GROWTH_ALLOWED = 32 * 2**20


@pytest.mark.slow
async def test_live_numbers_of_200_viewers_equal_a_recount_although_roles_are_killed(
    make_stack: MakeStack,
) -> None:
    """20 never read; events and sessions are exact, visitors within 2 %, memory is constant."""
    stack = await asyncio.to_thread(make_stack, {})
    token = (stack.data_dir / "owner.token").read_text().strip()
    load = Load(stack)
    watchers = [Watcher(stack.url, token, SITES[n % len(SITES)]) for n in range(READERS)]
    stalled = [StalledReader(stack.port, token, SITES[n % len(SITES)]) for n in range(SLEEPERS)]
    async with watching(watchers, stalled):
        sending = asyncio.ensure_future(load.run())
        await load.sent_more(_SECONDS_BETWEEN_KILLS * EVENTS_PER_SECOND)
        warm = {role: _memory(stack, role) for role in ROLES}
        await load.sent_more(3 * _SECONDS_BETWEEN_KILLS * EVENTS_PER_SECOND)
        grown = {role: _memory(stack, role) - warm[role] for role in ROLES}
        assert all(bytes_more < _GROWTH_ALLOWED for bytes_more in grown.values()), grown
        for role in ROLES:
            await asyncio.to_thread(stack.kill, role)
            await load.sent_more(_SECONDS_BETWEEN_KILLS * EVENTS_PER_SECOND)
        load.is_over.set()
        await sending

        await eventually_async(
            lambda: stack.rows("SELECT count(*) AS n FROM events") == [{"n": load.sent}],
            within_seconds=120,
            what=f"{load.sent} events are stored",
        )
        recount = {row.pop("site_id"): row for row in stack.rows(_RECOUNT)}
        await eventually_async(
            lambda: all(_matches(watcher, recount) for watcher in watchers),
            within_seconds=90,
            what=f"all {READERS} see {recount}",
        )


#: Half of the sessions have only passive events, which do not count as visits.
_ACTIVE = "CASE WHEN type NOT IN ('pageleave', 'web_vitals') THEN {} END"
_RECOUNT = (
    "SELECT site_id, count(*) AS events,"  # noqa: S608 - names of ours
    f" count(DISTINCT {_ACTIVE.format('session_id')}) AS sessions,"
    f" count(DISTINCT {_ACTIVE.format('visitor_id')}) AS visitors FROM events GROUP BY site_id"
)


def _matches(watcher: Watcher, recount: Mapping[str, Mapping[str, int]]) -> bool:
    """Return True if the last message equals the recount; the run takes under five minutes."""
    shown, expected = watcher.last, recount[watcher.site_id]
    return (
        bool(shown)
        and sum(shown["per_minute"]) == expected["events"]
        and shown["sessions_now"] == expected["sessions"]
        and abs(shown["visitors_now"] - expected["visitors"]) <= 0.02 * expected["visitors"]
    )


class Load:
    """Sends events at a rate; batches without a response are sent again."""

    def __init__(self, stack: Stack) -> None:
        self.sent = 0
        self.is_over = asyncio.Event()
        self._url = f"{stack.url}/api/events"
        self._numbers = count()

    async def run(self) -> None:
        """Send until `is_over` is set; several batches are in flight at a time."""
        clock = asyncio.get_running_loop().time
        started = clock()
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            for batch in count():
                if self.is_over.is_set():
                    break
                group.create_task(self._send(http, [self._event() for _ in range(BATCH)]))
                await asyncio.sleep(started + batch * BATCH / EVENTS_PER_SECOND - clock())

    async def sent_more(self, events: int) -> None:
        """Wait until `events` more events are acknowledged."""
        target = self.sent + events
        await eventually_async(
            lambda: self.sent >= target, within_seconds=60, what=f"{events} more are sent"
        )

    async def _send(self, http: aiohttp.ClientSession, events: list[dict[str, Any]]) -> None:
        async def is_accepted() -> bool:
            try:
                async with http.post(self._url, json=events) as response:
                    return response.status == 202
            except aiohttp.ClientError:
                return False

        await eventually_async(is_accepted, within_seconds=60, what="a batch is acknowledged")
        self.sent += len(events)

    def _event(self) -> dict[str, Any]:
        number = next(self._numbers)
        session = number * 7_919 % SESSIONS
        return {
            "type": ("pageview", "pageleave", "button_click", "web_vitals")[number % 4],
            "site_id": SITES[session % len(SITES)],
            "session_id": f"s{session}",
            "visitor_id": f"v{session % VISITORS}",
            "event_id": str(uuid.UUID(int=number, version=4)),
            "path": f"/{session % 80}",
            "referrer": f"https://{session % 9}.example/",
        }


def _memory(stack: Stack, role: str) -> int:
    pid = stack.pid(role)
    assert pid is not None
    resident: int = psutil.Process(pid).memory_info().rss
    return resident
