"""Broker failures in a cluster under load: three brokers, three replicas, two in sync.

Each scenario compares SQL with the ledger: acknowledged events are stored once.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.topics import EVENTS_RAW
from tests.faults.cluster import Cluster
from tests.faults.cluster_load import ACCEPTED, NOT_ACCEPTED, Load, check, log_summary
from tests.faults.cluster_roles import Roles
from tests.fixtures.waiting import eventually_async

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RATE = 150


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Yield a cluster of three brokers."""
    async with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
async def roles(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Roles]:
    """Yield the roles when they are ready."""
    async with Roles(cluster.bootstrap, tmp_path) as roles:
        yield roles


async def wait_in_sync(cluster: Cluster) -> None:
    """Wait until all replicas of `events-raw` are in sync."""
    await eventually_async(
        lambda: cluster.is_in_sync(EVENTS_RAW.name),
        within_seconds=60,
        what="all replicas are in sync",
    )


@asynccontextmanager
async def all_accepted(name: str, cluster: Cluster, roles: Roles) -> AsyncIterator[None]:
    """Send events before, during and after the block, and check that all are accepted."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(5 * RATE)
        since = time.monotonic()
        yield
        await load.more(5 * RATE)
    log_summary(name, load.ledger, since, await check(load, cluster, roles))
    assert {answered.status for answered in load.ledger} == {ACCEPTED}


async def test_a_broker_killed_and_started_again(cluster: Cluster, roles: Roles) -> None:
    """It leads a third of the partitions; the other brokers take over."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(5 * RATE)
        victim = cluster.brokers[(await cluster.leaders(EVENTS_RAW.name))[0] - 1]
        since = time.monotonic()
        victim.kill()
        await load.more(20 * RATE)
        victim.start()
        await victim.await_ready()
        await wait_in_sync(cluster)
        await load.more(5 * RATE)

    log_summary("a broker killed", load.ledger, since, await check(load, cluster, roles))


async def test_leaders_that_move(cluster: Cluster, roles: Roles) -> None:
    """All leaders move five times under load; no request fails."""
    async with all_accepted("leaders moved", cluster, roles):
        for _ in range(5):
            await cluster.move_leaders(EVENTS_RAW.name)
            await wait_in_sync(cluster)


async def test_all_brokers_restarted_one_by_one(cluster: Cluster, roles: Roles) -> None:
    """A rolling restart; no request fails."""
    async with all_accepted("rolling restart", cluster, roles):
        for broker in cluster.brokers:
            await asyncio.to_thread(broker.stop)
            broker.start()
            await broker.await_ready()
            await wait_in_sync(cluster)


async def test_two_brokers_of_three_down(cluster: Cluster, roles: Roles) -> None:
    """All requests get 500, and are accepted again when the brokers are back."""
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

    log_summary("two of three down", load.ledger, since, await check(load, cluster, roles))
    assert {answered.status for answered in load.ledger} == {ACCEPTED, NOT_ACCEPTED}
    assert roles.is_running("api")


async def test_partitions_without_a_leader(cluster: Cluster, tmp_path: Path) -> None:
    """A topic without replicas, for longer than the deadline; other partitions are available."""
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

        log_summary("no leader", load.ledger, since, await check(load, cluster, roles))
        assert roles.is_running("api")
