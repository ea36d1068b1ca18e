"""Floods of unknown sites, keys, tokens and distinct events: `web` keeps nothing of them."""

import asyncio
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import psutil
import pytest

from schemas.batched import batched
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

#: Distinct accepted events, and events of unknown sites per round: more than a cache holds.
EVENTS = 12_000
#: Requests with unknown keys, unknown tokens and unknown paths per round, of each kind.
REQUESTS = 2_000
ROUNDS = 4
_PER_BATCH = 500
_CONCURRENT = 8
_VIEW = {"type": "pageview", "session_id": "s"}
#: The growth of the last round: fragments of the heap, and buffers of requests in progress.
_MAX_GROWTH_BYTES = 8 * 1024 * 1024


class Request(NamedTuple):
    """A request of a flood, and the status of its response."""

    status: int
    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = {}


def _accepted(numbers: Iterable[int]) -> Iterator[Request]:
    """Yield batches of events of which no two have a text in common."""
    events = [
        {
            **_VIEW,
            "site_id": "shop",
            "session_id": f"s-{n}",
            "visitor_id": f"v-{n}",
            "user_agent": f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{n}.0",
            "url": f"https://{n}.shop.example/{n}?utm_source={n}",
            "referrer": f"https://{n}.example/",
        }
        for n in numbers
    ]
    for batch in batched(events, _PER_BATCH):
        yield Request(202, "POST", "/api/events", batch)


def _rejected(first: int) -> Iterator[Request]:
    """Yield the rejected requests of a round; no text of theirs was in an earlier one."""
    for numbers in batched(range(first, first + EVENTS), _PER_BATCH):
        unknown = [{**_VIEW, "site_id": f"site-{n}"} for n in numbers]
        yield Request(400, "POST", "/api/events", unknown)
    for n in range(first, first + REQUESTS):
        key = {"Authorization": f"Bearer hrk_{n}"}
        yield Request(401, "POST", "/api/event", {**_VIEW, "site_id": "shop"}, key)
        yield Request(401, "GET", f"/api/sites/site-{n}/live", None, key)
        yield Request(404, "GET", f"/api/unknown-{n}")


async def _flood(stack: Stack, requests: Iterator[Request]) -> None:
    unexpected = Counter[tuple[str, int]]()

    async def client(session: aiohttp.ClientSession) -> None:
        for status, method, path, body, headers in requests:
            async with session.request(method, path, json=body, headers=headers) as response:
                await response.read()
                if response.status != status:
                    unexpected[path, response.status] += 1

    timeout = aiohttp.ClientTimeout(total=120)
    async with (
        aiohttp.ClientSession(stack.url, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(_CONCURRENT):
            group.create_task(client(session))
    assert not unexpected


def _headrace(stack: Stack, *arguments: str) -> str:
    argv = [sys.executable, "-m", "headrace", *arguments, "--data-dir", str(stack.data_dir)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _series(stack: Stack) -> set[str]:
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=10) as response:  # noqa: S310
        lines = response.read().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_the_memory_of_web_reaches_a_plateau(make_stack: MakeStack) -> None:
    """No series of metrics, no rows and no sites are left either."""
    stack = make_stack({"HEADRACE_API__SITES": "registered"})
    _headrace(stack, "sites", "add", "shop")
    view = {**_VIEW, "site_id": "shop"}
    eventually(lambda: stack.post(view)[0] == 202, within_seconds=10, what="shop is registered")
    web = psutil.Process(stack.pid("web"))
    asyncio.run(_flood(stack, _accepted(range(EVENTS))))  # fills the caches
    asyncio.run(_flood(stack, _rejected(0)))
    _series(stack)  # this request adds series
    series, sizes = _series(stack), []

    for number in range(1, ROUNDS):
        asyncio.run(_flood(stack, _rejected(number * EVENTS)))
        sizes.append(web.memory_info().rss)

    print("resident bytes after each round:", sizes)  # noqa: T201 - the result
    assert sizes[-1] - sizes[-2] < _MAX_GROWTH_BYTES, sizes
    assert len(_series(stack) - series) < REQUESTS  # of routes and lag, which are bounded
    eventually(
        lambda: stack.rows("SELECT count(*) AS n FROM events") == [{"n": EVENTS + 1}],
        within_seconds=120,
        what="the accepted events are stored",
    )
    for table in ("events", "sessions", "alerts"):
        found = stack.rows(f"SELECT DISTINCT site_id FROM {table}")  # noqa: S608
        assert {row["site_id"] for row in found} <= {"shop"}
    assert stack.rows("SELECT site_id FROM sites") == [{"site_id": "shop"}]
