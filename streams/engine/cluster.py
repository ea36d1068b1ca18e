"""What a worker asks of the cluster before it starts."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Topic


class ClusterError(Exception):
    """The cluster is not as the worker needs it; the message says what to do."""


async def check_cluster(bootstrap_servers: str, topics: Sequence[Topic], partitions: int) -> str:
    """Return the cluster's id.

    `ClusterError` when a topic is missing or has another number of partitions: keys would
    move to other partitions, and sessions would be torn apart. `KafkaConnectionError` when no
    broker is reached.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        described = await admin.describe_topics([topic.name for topic in topics])
        cluster = await admin.describe_cluster()
    finally:
        await admin.close()
    for found in described:
        if found["error_code"]:
            raise ClusterError(
                f"The topic {found['topic']} is not there: run `headrace topics create`"
            )
        if (count := len(found["partitions"])) != partitions:
            raise ClusterError(
                f"The topic {found['topic']} has {count} partitions, but "
                f"HEADRACE_KAFKA__PARTITIONS is {partitions}: set it to {count}, for the number "
                "is fixed when the topics are created"
            )
    return str(cluster["cluster_id"])
