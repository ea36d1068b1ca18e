"""The role `sinks`: its agents on one worker, over one writer."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from faust.types import TP

from schemas.settings import Settings
from schemas.topics import TOPICS
from sinks.agents import store_alerts, store_durations, store_events, store_sessions
from sinks.sql.offsets import check_log_end
from sinks.sql.writer import Writer, open_writer
from streams.engine.cluster import wait_for_cluster
from streams.engine.worker import Worker

#: The consumer group, and the name in `consumer_offsets`: never renamed.
APP_ID = "headrace-sinks"


async def run(settings: Settings, stop: asyncio.Event, watch: Callable[[Worker], None]) -> None:
    """Store results until `stop` is set; raises what ended it when it was something else.

    `watch` is given the worker before it starts, to tell whether it is ready.
    """
    kafka = settings.kafka
    cluster_id = await wait_for_cluster(kafka.bootstrap_servers, TOPICS, kafka.partitions, stop)
    writer = await open_writer(
        settings.database.url, app=APP_ID, cluster_id=cluster_id, should_stop=stop.is_set
    )
    try:
        worker = _build(kafka.bootstrap_servers, writer)
        watch(worker)
        await worker.run(stop)
    finally:
        await writer.close()


def _build(bootstrap_servers: str, writer: Writer) -> Worker:
    async def positions(sources: Sequence[TP]) -> Mapping[TP, int]:
        """Read from where the database is: its rows are the truth, the group's a hint."""
        ends = await worker.faust.consumer.highwaters(*sources)
        starts = {tp: await writer.assign(tp.topic, tp.partition) for tp in sources}
        for tp, start in starts.items():
            check_log_end(tp.topic, tp.partition, start, ends[tp])
        return starts

    worker = Worker(APP_ID, bootstrap_servers, positions=positions)
    worker.checks.append(lambda: writer.trouble)
    for agent in (store_events, store_sessions, store_durations, store_alerts):
        agent.register(worker, writer)
    return worker
