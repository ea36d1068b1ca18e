"""Three brokers on this machine that are one Kafka cluster, to be killed one by one."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest

from infra import process
from infra.broker import ports, probe
from infra.broker.folder import BrokerFolder, new_cluster_id
from infra.broker.jars import class_path
from infra.broker.java import find_java
from infra.broker.local_kafka import JVM_OPTIONS
from tests.fixtures.waiting import eventually_async

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0

#: What is for one broker only in the settings of `headrace up`, as a cluster has it. The session
#: is what docs/reliability.md asks for: within it nobody leads for a broker that died, and with
#: Kafka's own 9 s that would be longer than a request may take.
_SETTINGS = """
offsets.topic.replication.factor=3
min.insync.replicas=2
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
"""


class Broker:
    """One of the cluster; `kill` it, `stop` it in order, and `start` it again."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.port = ports.free_port()
        self.controller_port = ports.free_port()
        self._folder = BrokerFolder(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._argv: Sequence[str] = ()
        self._env: Mapping[str, str] = {}

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{ports.LOOPBACK}:{self.port}"

    def prepare(self, voters: str, cluster_id: str) -> None:
        """Write its settings and make its storage."""
        self._folder.lock()
        self._folder.write_settings(self.port, self.controller_port)
        with (self._folder.home / self._folder.settings).open("a") as settings:
            settings.write(_SETTINGS)
            settings.write(f"node.id={self.number}\ncontroller.quorum.voters={voters}\n")
        run = [str(find_java()), *JVM_OPTIONS, *self._folder.jvm_options]
        self._env = {**os.environ, "CLASSPATH": os.pathsep.join(map(str, class_path()))}
        self._folder.format(run, self._env, cluster_id)
        self._argv = [*run, "kafka.Kafka", str(self._folder.settings)]

    def start(self) -> None:
        """Start it, and wait for nothing."""
        self._process = process.spawn(
            self._argv, log=self._folder.log, env=self._env, cwd=self._folder.home
        )

    async def await_ready(self) -> None:
        """Wait until it answers, and let the load go on meanwhile."""
        await eventually_async(
            lambda: asyncio.to_thread(probe.answers, self.port, 2.0),
            within_seconds=_START_SECONDS,
            what=f"broker {self.number} answers",
        )

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it in order: it hands its partitions over first."""
        if self._process is not None:
            process.terminate(self._process, _STOP_SECONDS)

    def release(self) -> None:
        """End it, if it runs, and let go of its folder."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._folder.release()


class Cluster:
    """Brokers 1 to 3, each also a voter; every topic's copies are on all of them."""

    def __init__(self, folder: Path) -> None:
        self.brokers = [Broker(number, folder / str(number)) for number in (1, 2, 3)]

    @property
    def bootstrap(self) -> str:
        """All their addresses."""
        return ",".join(broker.address for broker in self.brokers)

    async def __aenter__(self) -> Self:
        voters = ",".join(
            f"{broker.number}@{ports.LOOPBACK}:{broker.controller_port}" for broker in self.brokers
        )
        cluster_id = new_cluster_id()
        try:
            for broker in self.brokers:
                broker.prepare(voters, cluster_id)
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
        """Return the number of the broker that leads each partition; -1 is none."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            cluster = await client.fetch_all_metadata()
            found = {
                partition: cluster.leader_for_partition(TopicPartition(topic, partition))
                for partition in cluster.partitions_for_topic(topic) or ()
            }
        finally:
            await client.close()
        return {partition: -1 if leader is None else leader for partition, leader in found.items()}

    async def move_leaders(self, topic: str) -> None:
        """Take each partition's leader away from it, and give it back as a copy."""
        leaders = await self.leaders(topic)
        everyone = [broker.number for broker in self.brokers]
        others = {
            partition: [number for number in everyone if number != leader]
            for partition, leader in leaders.items()
        }
        await self._assign(topic, others)
        await eventually_async(
            partial(self._led_by_others, topic, leaders),
            within_seconds=60,
            what="others lead",
        )
        await self._assign(
            topic, {partition: [*rest, leaders[partition]] for partition, rest in others.items()}
        )

    async def _led_by_others(self, topic: str, before: Mapping[int, int]) -> bool:
        now = await self.leaders(topic)
        return all(now[partition] not in (-1, leader) for partition, leader in before.items())

    async def _assign(self, topic: str, copies: Mapping[int, list[int]]) -> None:
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        partitions: list[Any] = [(partition, numbers, {}) for partition, numbers in copies.items()]
        request = AlterPartitionReassignmentsRequest(10_000, [(topic, partitions, {})], {})
        try:
            answer = await client.send(self.brokers[0].number, request)
        finally:
            await client.close()
        assert not answer.error_code, answer

    async def is_whole(self, topic: str) -> bool:
        """Return whether every copy of every partition is in sync."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        await client.bootstrap()
        try:
            partitions = (await client.fetch_all_metadata())._partitions[topic].values()  # noqa: SLF001
        finally:
            await client.close()
        return all(set(partition.isr) == set(partition.replicas) for partition in partitions)
