"""Brokers of a cluster die and move under load: three brokers, three copies, two in sync.

Each scenario ends with the ledger: what was acknowledged is in SQL once, and nothing else is.
"""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from schemas.topics import EVENTS_RAW
from tests.faults.cluster import Cluster
from tests.faults.cluster_load import Load, check, tell
from tests.faults.cluster_roles import Roles
from tests.fixtures.waiting import eventually_async

pytestmark = [pytest.mark.faults_long, pytest.mark.timeout(300)]

RATE = 150


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Give a cluster of three brokers."""
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
async def roles(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Roles]:
    """Give the roles, ready."""
    async with Roles(cluster.bootstrap, tmp_path) as roles:
        yield roles


async def test_a_broker_killed_and_started_again(cluster: Cluster, roles: Roles) -> None:
    """The leader of a third of the partitions; the others take over."""
    async with Load(f"{roles.url}/api/event", RATE) as load:
        await load.more(10 * RATE)
        victim = cluster.brokers[(await cluster.leaders(EVENTS_RAW.name))[0] - 1]
        killed = time.monotonic()
        victim.kill()
        await load.more(30 * RATE)
        victim.start()
        victim.wait_ready()
        await eventually_async(
            lambda: cluster.is_whole(EVENTS_RAW.name), within_seconds=60, what="copies in sync"
        )
        await load.more(10 * RATE)

    repeats = await check(load.ledger, cluster.bootstrap, roles.database)
    tell("a broker killed", load.ledger, killed, repeats)
