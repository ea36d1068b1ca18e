"""The Kafka topic of the peers that have one."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.e2e.stack import PARTITIONS


def create_topic(kafka: str, name: str) -> None:
    """Create a topic with as many partitions as those of `headrace up`."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        await admin.close()

    asyncio.run(create())
