"""The table of stages lists all agents and their source topics."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from headrace.ops.status.database import read_status
from schemas.event_types import EVENT_TYPES
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import Topic
from sinks.agents import sink_agents
from streams import agents, app
from streams.agents import aggregate_durations, raise_alerts, route_events, sessionize
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.agent import Agent
from streams.engine.worker import Worker
from tests.fixtures.migrated import create_migrated
from tests.unit.streams.samples import RULES

#: Modules of `streams/agents` without an agent, or whose agent writes no dead letters.
_WITHOUT_STAGE = {
    "count_discarded",
    "count_live",
    "follow_subscriptions",
    "replaying",
    "report_live",
}
_ANYTHING: Any = None
_REGISTERS: dict[str, list[Any]] = {
    "streams": [
        partial(route_events.register, tail=_ANYTHING, partition_of_site=_ANYTHING),
        partial(sessionize.register, rules=RULES),
        aggregate_durations.register,
        partial(raise_alerts.register, subscriptions=Subscriptions(), complete=_ANYTHING),
    ],
    "sinks": [partial(sink_agents.register, writer=_ANYTHING)],
}


class _Noting(Worker):
    """A worker that records which agent reads which topic."""

    def __init__(self, registers: Iterable[Callable[[Worker], None]]) -> None:
        super().__init__("bench", KafkaSettings())
        self.stages: list[tuple[str, Topic]] = []
        for register in registers:
            register(self)

    def add(self, agent: Agent) -> None:
        self.stages.append((agent.name, agent.source))


@pytest.mark.parametrize(("role", "stages"), [("streams", STREAM_STAGES), ("sinks", SINK_STAGES)])
def test_each_stage_has_the_name_of_an_agent(role: str, stages: dict[str, Topic]) -> None:
    """Dead letters contain the name, and replays are sent to it."""
    assert sorted(_Noting(_REGISTERS[role]).stages) == sorted(stages.items())


def test_every_agent_module_is_a_stage() -> None:
    """With its name. The others serve other agents, or the role `live`."""
    modules = {module.name for module in iter_modules(agents.__path__)}

    assert modules - _WITHOUT_STAGE == STREAM_STAGES.keys()


@pytest.mark.parametrize("stages", [STREAM_STAGES, SINK_STAGES])
def test_a_topic_has_one_agent_per_role(stages: dict[str, Topic]) -> None:
    """A worker would replace the first agent by the second."""
    assert len(set(stages.values())) == len(stages)


def test_all_routed_topics_are_drained_and_rerouted() -> None:
    """Including those of new event types."""
    routed = {topic.name for event_type in EVENT_TYPES.values() for topic in event_type.routes}

    assert routed == set(app.flow().routed)


def test_a_dead_letter_of_every_sink_can_be_replayed() -> None:
    """By store_events, into the sink's table."""
    assert set(sink_agents.SINKS) == set(SINK_STAGES)


async def test_the_status_counts_the_rows_of_every_sink(tmp_path: Path) -> None:
    """By table name."""
    url = create_migrated(f"sqlite:///{tmp_path}/headrace.db")
    status = await read_status(DatabaseSettings(url=url))

    tables = {str(sink.table.__tablename__) for sink in sink_agents.SINKS.values()}
    assert {count.table for count in status.tables} == tables
