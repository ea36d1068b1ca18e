"""The agents on a real broker: headrace, the same rules in plain Faust, and Kafka Streams.

Each run is a process of its own that works through a topic until all that comes of it is
acknowledged: it decodes, applies the rules, and writes. Kafka Streams does less: session
windows over bytes that it does not decode, of each key how many, the first and the last. The first
half of its events are for Java's compiler, and not measured.
"""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from benchmarks.backlog import batches, renew_topics, send, sender
from benchmarks.jobs import JOBS, PARTITIONS, backlog
from benchmarks.kafka_streams import kafka_streams
from benchmarks.measure import Absent, Candidate, Spent, Work, absent
from benchmarks.outcome import Results, results_of
from benchmarks.process import Command, command_of, told_by
from infra.broker.local_kafka import LocalKafka

TITLE = "The agents on a real broker, one process each"
#: Plain Faust would take minutes for as many as headrace; Java's compiler takes its first seconds.
_EVENTS_OF_FAUST, _EVENTS_OF_JAVA = 3_000, 160_000
_WINDOWS = "Kafka Streams: session windows, undecoded"
#: Its counts are longs.
_COUNTS = Results(("{group}-sessions-changelog",), lambda value: int.from_bytes(value[-8:]))


async def _run(
    kafka: str, agent: str, command: Sequence[str], events: int, results: Results
) -> Spent:
    """Run a candidate on a backlog of its own, and see that it has done the whole job."""
    group, todo = f"bench-{uuid4().hex}", backlog(agent, events)
    await renew_topics(kafka, PARTITIONS)
    async with sender(kafka) as producer:
        for partition, records in enumerate(todo.places):
            filled = batches(producer, records)
            await send(producer, JOBS[agent].source.name, partition, filled)
    spent = await told_by((*command, kafka, JOBS[agent].source.name, group, str(events)))
    topics = [topic.format(group=group) for topic in results.topics]
    found = await results_of(kafka, results._replace(topics=topics), PARTITIONS)
    if found != todo.expected:
        raise RuntimeError(f"{' '.join(command)} came to {found}, not to {todo.expected}")
    return spent


def _candidates(kafka: str, agent: str, java: Command) -> Iterator[Candidate]:
    """Yield who does what an agent does."""
    (_, events, results, _) = JOBS[agent]
    ways = {
        "headrace": ("headrace_agents", events),
        "plain Faust": ("faust_agents", _EVENTS_OF_FAUST),
    }
    for name, (module, some) in ways.items():
        command: Sequence[str] = (sys.executable, "-m", f"benchmarks.peers.{module}", agent)
        yield Candidate(name, partial(_run, kafka, agent, command, some, results))
    if agent != "sessionize":
        return
    if isinstance(java, Absent):
        yield absent(_WINDOWS, java)
    else:
        command = (*java, "sessions")
        yield Candidate(_WINDOWS, partial(_run, kafka, agent, command, _EVENTS_OF_JAVA, _COUNTS))


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        java = command_of(lambda: kafka_streams(Path(folder)))
        yield [
            Work(agent, list(_candidates(kafka.bootstrap, agent, java)), warms_up=False)
            for agent in JOBS
        ]
