"""The numbers of partitions of the topics."""

import asyncio
import time
from collections.abc import Mapping

from aiokafka.admin import NewPartitions
from aiokafka.errors import KafkaError

from headrace.admin.clients import open_admin
from headrace.admin.topics import read_states
from headrace.errors import UserError
from schemas.kafka_settings import KafkaSettings

_METADATA_SECONDS, _POLL_SECONDS = 60.0, 0.2


async def partition_counts(kafka: KafkaSettings) -> dict[str, int]:
    """Return the number of partitions of each topic that follows the partitions of keys.

    Raises `UserError` if a topic is missing.
    """
    async with open_admin(kafka) as admin:
        states = await read_states(admin)
    missing = [state.topic.name for state in states if state.partitions is None]
    if missing:
        raise UserError(f"There is no topic {missing[0]}: run `headrace topics create`")
    return {
        state.topic.name: state.partitions or 0 for state in states if not state.topic.is_global
    }


async def grow(kafka: KafkaSettings, totals: Mapping[str, int]) -> None:
    """Add partitions to topics up to these numbers, and wait until all brokers report them."""
    if not totals:
        return
    async with open_admin(kafka) as admin:
        try:
            await admin.create_partitions({k: NewPartitions(v) for k, v in totals.items()})
        except KafkaError as error:
            raise UserError(
                f"Kafka did not add partitions: {error}. Grant the operation Alter on the topics, "
                "then run this again"
            ) from error
        deadline = time.monotonic() + _METADATA_SECONDS
        while True:
            described = await admin.describe_topics(list(totals))
            behind = [f["topic"] for f in described if len(f["partitions"]) < totals[f["topic"]]]
            leaderless = [
                f["topic"] for f in described if any(p["leader"] < 0 for p in f["partitions"])
            ]
            if not behind and not leaderless:
                return
            if time.monotonic() > deadline:
                names = ", ".join(sorted({*behind, *leaderless}))
                raise UserError(f"Kafka has not created all partitions of {names}; run this again")
            await asyncio.sleep(_POLL_SECONDS)
