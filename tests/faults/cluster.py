"""A Kafka cluster of three brokers on this machine, which can be killed one by one."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Self

from aiokafka import AIOKafkaClient, TopicPartition

from headrace.local.broker import ports
from headrace.local.broker.directory import new_cluster_id
from tests.faults.brokers import reassign
from tests.faults.cluster_broker import Broker
from tests.fixtures.waiting import eventually_async

#: Overrides the settings of `headrace up` for a single broker. The session timeout is that of
#: docs/reliability.md: until it expires, partitions of a dead broker have no leader, and with
#: Kafka's default of 9 s this would exceed the deadline of requests.
_SETTINGS = """
offsets.topic.replication.factor=3
min.insync.replicas=2
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
"""


class Cluster:
    """Brokers 1 to 3, each also a controller; every topic has replicas on all of them."""

    def __init__(self, folder: Path) -> None:
        self.brokers = [Broker(number, folder / str(number)) for number in (1, 2, 3)]

    def settings_of(self, broker: Broker) -> str:  # noqa: ARG002 - of subclasses
        """Return more settings of a broker."""
        return ""

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers."""
        return ",".join(broker.address for broker in self.brokers)

    async def __aenter__(self) -> Self:
        voters = ",".join(
            f"{broker.number}@{ports.LOOPBACK}:{broker.controller_port}" for broker in self.brokers
        )
        cluster_id = new_cluster_id()
        try:
            for broker in self.brokers:
                broker.prepare(voters, cluster_id, _SETTINGS + self.settings_of(broker))
            for broker in self.brokers:
                broker.start()
            for broker in self.brokers:
                await broker.await_ready()
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        for broker in self.brokers:
            broker.release()

    async def leaders(self, topic: str) -> dict[int, int]:
        """Return the id of each partition's leader; -1 if there is none."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            cluster = await client.fetch_all_metadata()
            leaders = {
                partition: cluster.leader_for_partition(TopicPartition(topic, partition))
                for partition in cluster.partitions_for_topic(topic) or ()
            }
        finally:
            await client.close()
        return {
            partition: -1 if leader is None else leader for partition, leader in leaders.items()
        }

    async def move_leaders(self, topic: str) -> None:
        """Move each partition's leader to another broker, and make the old one a follower."""
        leaders, controller = await self.leaders(topic), self.brokers[0].number
        brokers = [broker.number for broker in self.brokers]
        others = {
            partition: [number for number in brokers if number != leader]
            for partition, leader in leaders.items()
        }
        await reassign(self.bootstrap, controller, topic, others)
        await eventually_async(
            partial(self._led_by_others, topic, leaders),
            within_seconds=60,
            what="other brokers lead",
        )
        replicas = {partition: [*rest, leaders[partition]] for partition, rest in others.items()}
        await reassign(self.bootstrap, controller, topic, replicas)

    async def _led_by_others(self, topic: str, before: Mapping[int, int]) -> bool:
        now = await self.leaders(topic)
        return all(now[partition] not in (-1, leader) for partition, leader in before.items())

    async def is_in_sync(self, topic: str) -> bool:
        """Return True if all replicas of a topic are in sync."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            partitions = (await client.fetch_all_metadata())._partitions[topic].values()  # noqa: SLF001
        finally:
            await client.close()
        return all(set(partition.isr) == set(partition.replicas) for partition in partitions)
