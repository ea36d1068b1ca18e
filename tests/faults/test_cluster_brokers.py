"""Brokers of a cluster die and move under load: three brokers, three copies, two in sync.

Each scenario ends with the ledger: what was acknowledged is in SQL once, and nothing else is.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.topics import EVENTS_RAW
from tests.faults.cluster import Cluster
from tests.faults.cluster_load import ACCEPTED, NOT_ACCEPTED, Load, check, tell
from tests.faults.cluster_roles import Roles
from tests.fixtures.waiting import eventually_async

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RATE = 150


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Give a cluster of three brokers."""
    async with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
async def roles(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Roles]:
    """Give the roles, ready."""
    async with Roles(cluster.bootstrap, tmp_path) as roles:
        yield roles


async def whole(cluster: Cluster) -> None:
    """Wait until every copy of the events is in sync."""
    await eventually_async(
        lambda: cluster.is_whole(EVENTS_RAW.name), within_seconds=60, what="copies in sync"
    )


@asynccontextmanager
async def nothing_fails(name: str, cluster: Cluster, roles: Roles) -> AsyncIterator[None]:
    """Send events before, meanwhile and after: each is accepted, and the ledger holds."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(5 * RATE)
        since = time.monotonic()
        yield
        await load.more(5 * RATE)
    tell(name, load.ledger, since, await check(load, cluster, roles))
    assert {answered.status for answered in load.ledger} == {ACCEPTED}


async def test_a_broker_killed_and_started_again(cluster: Cluster, roles: Roles) -> None:
    """The leader of a third of the partitions; the others take over."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(5 * RATE)
        victim = cluster.brokers[(await cluster.leaders(EVENTS_RAW.name))[0] - 1]
        since = time.monotonic()
        victim.kill()
        await load.more(20 * RATE)
        victim.start()
        await victim.await_ready()
        await whole(cluster)
        await load.more(5 * RATE)

    tell("a broker killed", load.ledger, since, await check(load, cluster, roles))


async def test_leaders_that_move(cluster: Cluster, roles: Roles) -> None:
    """All of them, five times, while events come; no request fails for it."""
    async with nothing_fails("leaders moved", cluster, roles):
        for _ in range(5):
            await cluster.move_leaders(EVENTS_RAW.name)
            await whole(cluster)


async def test_all_brokers_restarted_one_by_one(cluster: Cluster, roles: Roles) -> None:
    """In order, as an upgrade does it: each hands over first, and is waited for; none fails."""
    async with nothing_fails("rolling restart", cluster, roles):
        for broker in cluster.brokers:
            await asyncio.to_thread(broker.stop)
            broker.start()
            await broker.await_ready()
            await whole(cluster)


async def test_two_brokers_of_three_down(cluster: Cluster, roles: Roles) -> None:
    """Nothing is accepted, everything is answered, and all goes on when they are back."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(5 * RATE)
        since = time.monotonic()
        for broker in cluster.brokers[1:]:
            broker.kill()
        await load.more(20 * RATE, NOT_ACCEPTED)
        for broker in cluster.brokers[1:]:
            broker.start()
        for broker in cluster.brokers[1:]:
            await broker.await_ready()
        await load.more(10 * RATE)

    tell("two of three down", load.ledger, since, await check(load, cluster, roles))
    assert {answered.status for answered in load.ledger} == {ACCEPTED, NOT_ACCEPTED}
    assert roles.is_running("api")


async def test_partitions_without_a_leader(cluster: Cluster, tmp_path: Path) -> None:
    """Of a topic without copies, for longer than any request; the others go on meanwhile."""
    async with Roles(cluster.bootstrap, tmp_path, copies=1) as roles:
        async with Load(f"{roles.url}/api/event", RATE) as load:
            await load.more(5 * RATE)
            victim = cluster.brokers[(await cluster.leaders(EVENTS_RAW.name))[0] - 1]
            since = time.monotonic()
            victim.kill()
            await load.more(10 * RATE, ACCEPTED)
            await load.more(5 * RATE, NOT_ACCEPTED)
            victim.start()
            await victim.await_ready()
            await eventually_async(
                lambda: load.accepts_all(5 * RATE),
                within_seconds=60,
                what="every partition accepts",
            )

        tell("no leader", load.ledger, since, await check(load, cluster, roles))
        assert roles.is_running("api")
