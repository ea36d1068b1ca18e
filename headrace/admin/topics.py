"""Create, update and describe the topics."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import stamina
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NodeNotReadyError, TopicAlreadyExistsError, for_code

from headrace.admin.clients import open_admin
from headrace.admin.topic_advice import creation_advice
from headrace.admin.topic_settings import update_settings
from headrace.errors import UserError
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.topics import TOPICS, Topic


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic and its number of partitions in the cluster; None if it is missing."""

    topic: Topic
    partitions: int | None


async def create_topics(kafka: KafkaSettings, *, minimal: bool = False) -> list[str]:
    """Create the missing topics; return their names.

    With `minimal`, the configs of `OPTIONAL_CONFIGS` are left to the cluster. Raises UserError if a
    topic exists with another number of partitions, or Kafka rejects the request.
    """
    async with open_admin(kafka) as admin:
        missing = [state.topic for state in await _find_missing(admin, kafka.partitions)]
        if missing:
            await _create(admin, missing, kafka, minimal=minimal)
    return [topic.name for topic in missing]


async def update_topics(
    kafka: KafkaSettings, created: Collection[str] = ()
) -> dict[str, dict[str, str]]:
    """Correct the settings that results depend on, in all topics except `created`.

    Return the changed settings of each topic. Raises UserError if Kafka rejects the change.
    """
    existed = [topic for topic in TOPICS if topic.name not in created]
    if not existed:
        return {}
    async with open_admin(kafka) as admin:
        try:
            return await update_settings(admin, existed)
        except KafkaError as error:
            raise UserError(f"Kafka did not describe or change topics: {error!r}") from error


async def describe_topics(kafka: KafkaSettings) -> list[TopicState]:
    """Return the state of all topics of headrace."""
    async with open_admin(kafka) as admin:
        return await read_states(admin)


async def check_reachable(kafka: KafkaSettings) -> None:
    """Raise UserError if no broker responds, or authentication fails."""
    async with open_admin(kafka):
        pass


# A broker that has just started closes connections while it elects its controller.
@stamina.retry(on=NodeNotReadyError, attempts=20, timeout=15, wait_max=1)
async def read_states(admin: AIOKafkaAdminClient) -> list[TopicState]:
    """Return the state of all topics of headrace."""
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    counts = {
        found["topic"]: len(found["partitions"]) for found in described if not found["error_code"]
    }
    return [TopicState(topic, counts.get(topic.name)) for topic in TOPICS]


async def _find_missing(admin: AIOKafkaAdminClient, partitions: int) -> list[TopicState]:
    states = await read_states(admin)
    for state in states:
        if not state.topic.is_global and state.partitions not in (None, partitions):
            raise UserError(
                f"The topic {state.topic.name} has "
                f"{counted(state.partitions or 0, 'partition')}, not {partitions}. "
                "The number determines the partition of each session. "
                f"Use {state.partitions} (`--partitions`, or HEADRACE_KAFKA__PARTITIONS), or run "
                "`headrace repartition` to get more"
            )
    return [state for state in states if state.partitions is None]


async def _create(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], kafka: KafkaSettings, *, minimal: bool
) -> None:
    response = await admin.create_topics(
        [_new_topic(topic, kafka, minimal=minimal) for topic in topics]
    )
    for name, code, *rest in response.topic_errors:
        # Another process may have created it in the meantime.
        if code not in (0, TopicAlreadyExistsError.errno):
            detail = rest[0] if rest and rest[0] else for_code(code).__name__
            advice = creation_advice(code, detail, kafka, minimal=minimal)
            raise UserError(
                f"Kafka did not create the topic {name}: {detail.rstrip('.')}. {advice}"
            )


def _new_topic(topic: Topic, kafka: KafkaSettings, *, minimal: bool) -> NewTopic:
    in_sync = {"min.insync.replicas": str(kafka.min_insync_replicas)}
    new = NewTopic(
        topic.name,
        num_partitions=kafka.partitions,
        replication_factor=1,
        topic_configs=topic.required_configs() if minimal else topic.configs() | in_sync,
    )
    # Its constructor rejects -1, the default of the brokers.
    new.replication_factor = kafka.replication_factor
    return new
