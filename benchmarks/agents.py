"""The agents on a real broker: headrace, the same rules in plain Faust, and Kafka Streams.

Each run is a process that consumes a topic until all of its output is acknowledged: it decodes,
applies the rules and writes. Kafka Streams does less: its session windows count undecoded events
per key and keep the first and last time. The first half of its events warm up the JVM and are not
measured.
"""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from benchmarks.backlog import batch_producer, make_batches, recreate_topics, send_batches
from benchmarks.jobs import JOBS, PARTITIONS, backlog
from benchmarks.kafka_streams import kafka_streams
from benchmarks.measure import Candidate, Measurement, PeerUnavailable, Workload, unavailable
from benchmarks.outcome import Results, count_results
from benchmarks.process import Command, prepared_command, python_commands, run_candidate
from headrace.local.broker.local_kafka import LocalKafka

TITLE = "The agents on a real broker, one process each"
#: Plain Faust would take minutes for as many events as headrace; the JVM needs some to warm up.
_EVENTS_OF_FAUST, _EVENTS_OF_JAVA = 3_000, 160_000
_WINDOWS = "Kafka Streams: session windows, undecoded"
#: The values of Kafka Streams end in a count of 8 bytes.
_COUNTS = Results(("{group}-sessions-changelog",), lambda value: int.from_bytes(value[-8:]))


async def _run(
    kafka: str, agent: str, command: Sequence[str], events: int, results: Results
) -> Measurement:
    """Run a candidate on a new backlog, and check the number of its results."""
    group, input_ = f"bench-{uuid4().hex}", backlog(agent, events)
    await recreate_topics(kafka, PARTITIONS)
    async with batch_producer(kafka) as producer:
        for partition, records in enumerate(input_.partitions):
            batches = make_batches(producer, records)
            await send_batches(producer, JOBS[agent].source.name, partition, batches)
    measurement = await run_candidate(
        (*command, kafka, JOBS[agent].source.name, group, str(events))
    )
    topics = [topic.format(group=group) for topic in results.topics]
    count = await count_results(kafka, results._replace(topics=topics), PARTITIONS)
    if count != input_.expected:
        raise RuntimeError(f"{' '.join(command)} wrote {count} results, not {input_.expected}")
    return measurement


def _candidates(kafka: str, agent: str, java: Command) -> Iterator[Candidate]:
    """Yield the candidates for the work of an agent."""
    (_, events, results, _) = JOBS[agent]
    commands = python_commands("benchmarks.peers.headrace_agents")
    candidates = [(name, command, events) for name, command in commands.items()]
    faust = (sys.executable, "-m", "benchmarks.peers.faust_agents")
    candidates.append(("plain Faust", faust, _EVENTS_OF_FAUST))
    for name, command, count in candidates:
        yield Candidate(name, partial(_run, kafka, agent, (*command, agent), count, results))
    if agent != "sessionize":
        return
    if isinstance(java, PeerUnavailable):
        yield unavailable(_WINDOWS, java)
    else:
        command = (*java, "sessions")
        yield Candidate(_WINDOWS, partial(_run, kafka, agent, command, _EVENTS_OF_JAVA, _COUNTS))


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    with TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        java = prepared_command(lambda: kafka_streams(Path(folder)))
        yield [
            Workload(agent, list(_candidates(kafka.bootstrap, agent, java)), warms_up=False)
            for agent in JOBS
        ]
