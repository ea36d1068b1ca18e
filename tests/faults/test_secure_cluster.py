"""Kills in a cluster of three brokers with TLS, passwords, ACLs, a prefix and small limits."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topic_prefix import use_prefix
from schemas.topics import EVENTS_RAW, TOPICS
from tests.faults.cluster_load import Load, check, log_summary
from tests.faults.cluster_roles import Roles
from tests.faults.secure_cluster import SecureCluster
from tests.fixtures.secure_kafka import Operation, Pattern, Resource, allow, deny, needed
from tests.fixtures.waiting import eventually_async

_PREFIX = "staging-"
_RATE = 100
_CREATE = (Resource.TOPIC, Pattern.PREFIXED, _PREFIX, Operation.CREATE)


@pytest.fixture
def prefix() -> Iterator[str]:
    """Use a topic prefix in this process, too."""
    use_prefix(_PREFIX)
    yield _PREFIX
    use_prefix("")


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(480)
async def test_brokers_and_roles_of_a_restricted_user_are_killed(
    tmp_path: Path, prefix: str
) -> None:
    """Each broker and each role once, under load; acknowledged events are stored once."""
    async with SecureCluster(tmp_path / "cluster") as cluster:
        await allow(cluster.bootstrap, _CREATE, *needed(prefix))
        async with Roles(cluster.bootstrap, tmp_path, settings=cluster.variables(prefix)) as roles:
            await deny(cluster.bootstrap, _CREATE)
            async with Load(f"{roles.url}/api/event", _RATE) as load:
                await load.more(5 * _RATE)
                since = time.monotonic()
                for broker, role in zip(cluster.brokers, ("streams", "sinks", "api"), strict=True):
                    broker.kill()
                    await load.more(5 * _RATE)
                    roles.kill(role)
                    broker.start()
                    await broker.await_ready()
                    await eventually_async(
                        lambda: cluster.is_in_sync(EVENTS_RAW.name),
                        within_seconds=60,
                        what="all replicas are in sync",
                    )
                    await load.more(5 * _RATE)
            repeats = await check(load, cluster, roles)
        log_summary("secured cluster", load.ledger, since, repeats)
        topics = await _topics(cluster.bootstrap)
    assert topics == {topic.name for topic in TOPICS}


async def _topics(bootstrap: str) -> set[str]:
    """Return all topics of a cluster but Kafka's."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return {name for name in await consumer.topics() if not name.startswith("__")}
    finally:
        await consumer.stop()
