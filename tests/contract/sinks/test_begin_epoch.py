"""What `headrace repartition` writes to the database."""

from functools import partial

from aiokafka import TopicPartition

from headrace.admin.database import run_once
from headrace.ops.adopt.offsets import read_offsets, replace_offsets
from headrace.ops.repartition.run import begin_epoch
from schemas.settings import DatabaseSettings
from schemas.topics import EVENTS_RAW, SESSIONS


async def test_new_partitions_have_offsets_before_the_sinks_start(database_url: str) -> None:
    """A backup from then can be restored: it has events-raw with the partitions of the cluster."""
    database = DatabaseSettings(url=database_url)
    raw = [TopicPartition(EVENTS_RAW.name, number) for number in range(6)]
    sessions = TopicPartition(SESSIONS.name, 0)
    before = {**dict.fromkeys(raw[:4], 7), sessions: 3}
    await run_once(database, partial(replace_offsets, cluster_id="a", epoch=0, next_offsets=before))
    offsets = {**dict.fromkeys(raw[:4], 9), **dict.fromkeys(raw[4:], 0)}

    for _ in range(2):  # the command can be repeated
        await run_once(database, partial(begin_epoch, cluster_id="a", epoch=1, offsets=offsets))

    stored = await run_once(database, read_offsets)
    assert stored.next_offsets == {**offsets, sessions: 3}
    assert stored.clusters == {("a", 1)}
    stored.check_partitions(6)
