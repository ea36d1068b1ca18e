"""Create the topics that are missing, and look at those that are there."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.errors import UserError
from schemas.settings import KafkaSettings
from schemas.topics import TOPICS, Topic

_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster has it; `partitions` is None when it is missing."""

    topic: Topic
    partitions: int | None


async def create_topics(kafka: KafkaSettings) -> list[str]:
    """Create what is missing and return its names.

    `UserError` when a topic is there with another number of partitions, or Kafka refuses.
    """
    admin = await _connect(kafka)
    try:
        missing = [state.topic for state in await _checked(admin, kafka.partitions)]
        if missing:
            await _create(admin, missing, kafka)
    finally:
        await admin.close()
    return [topic.name for topic in missing]


async def describe_topics(kafka: KafkaSettings) -> list[TopicState]:
    """Return the state of every topic of headrace, in the order of the flow."""
    admin = await _connect(kafka)
    try:
        return await _states(admin)
    finally:
        await admin.close()


async def _connect(kafka: KafkaSettings) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=kafka.bootstrap_servers, request_timeout_ms=_TIMEOUT_MS
    )
    try:
        await admin.start()
    except (KafkaError, OSError) as error:
        await admin.close()
        raise UserError(
            f"No Kafka answers at {kafka.bootstrap_servers}. Start one with `headrace kafka`, or "
            "name yours with --kafka or HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
        ) from error
    return admin


async def _states(admin: AIOKafkaAdminClient) -> list[TopicState]:
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    counts = {
        found["topic"]: len(found["partitions"]) for found in described if not found["error_code"]
    }
    return [TopicState(topic, counts.get(topic.name)) for topic in TOPICS]


async def _checked(admin: AIOKafkaAdminClient, partitions: int) -> list[TopicState]:
    states = await _states(admin)
    for state in states:
        if state.partitions not in (None, partitions):
            raise UserError(
                f"The topic {state.topic.name} has {state.partitions} partitions, not "
                f"{partitions}. "
                "The number is fixed when headrace is installed, for it decides where each "
                f"session lives. Use {state.partitions} (`--partitions`, or "
                "HEADRACE_KAFKA__PARTITIONS), or begin with an empty Kafka"
            )
    return [state for state in states if state.partitions is None]


async def _create(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], kafka: KafkaSettings
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                num_partitions=kafka.partitions,
                replication_factor=kafka.replication_factor,
                topic_configs=topic.configs()
                | {"min.insync.replicas": str(kafka.min_insync_replicas)},
            )
            for topic in topics
        ]
    )
    for name, code, *rest in response.topic_errors:
        # Another process may have created it in between.
        if code not in (0, TopicAlreadyExistsError.errno):
            detail = rest[0] if rest and rest[0] else for_code(code).__name__
            raise UserError(f"Kafka did not create the topic {name}: {detail}")
