"""Detection of partitions without a leader, which clients wait for without reporting them."""

import asyncio
import logging
from collections.abc import Collection

from aiokafka.errors import KafkaError

from kafka_clients.clients import make_admin
from schemas.kafka_settings import KafkaSettings

log = logging.getLogger(__name__)

_LIMIT_SECONDS = 5.0


class LeaderCheck:
    """Reports partitions without a leader among those that a worker waits for."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        #: The partitions without a leader, as a sentence; None if there are none.
        self.problem: str | None = None

    async def check(self, topics: Collection[str]) -> None:
        """Update `problem`, and log it if it is new. Keep it if Kafka does not respond."""
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                partitions = await self._leaderless(topics) if topics else []
        except (KafkaError, OSError, TimeoutError):
            return
        problem = None
        if partitions:
            problem = (
                f"waiting for the leader of {', '.join(partitions)}: start the brokers that hold "
                f"{'its' if len(partitions) == 1 else 'their'} replicas"
            )
        if problem not in {None, self.problem}:
            log.warning(problem)
        self.problem = problem

    async def _leaderless(self, topics: Collection[str]) -> list[str]:
        admin = make_admin(self._kafka)
        try:
            await admin.start()
            described = await admin.describe_topics(sorted(topics))
        finally:
            await admin.close()
        return [
            f"{topic['topic']}/{partition['partition']}"
            for topic in described
            for partition in topic["partitions"]
            if partition["leader"] < 0
        ]
