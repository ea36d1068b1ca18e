"""The table of stages names the agents that there are, and what they read."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from schemas.kafka_settings import KafkaSettings
from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import Topic
from sinks.agents import sink_agents
from streams.agents import aggregate_durations, raise_alerts, route_events, sessionize
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.agent import Agent
from streams.engine.worker import Worker
from tests.unit.streams.samples import RULES

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
    """A worker that notes which agent reads which topic."""

    def __init__(self, registers: Iterable[Callable[[Worker], None]]) -> None:
        super().__init__("bench", KafkaSettings())
        self.stages: list[tuple[str, Topic]] = []
        for register in registers:
            register(self)

    def add(self, agent: Agent) -> None:
        self.stages.append((agent.name, agent.source))


@pytest.mark.parametrize(("role", "stages"), [("streams", STREAM_STAGES), ("sinks", SINK_STAGES)])
def test_a_stage_is_an_agent_by_its_name(role: str, stages: dict[str, Topic]) -> None:
    """Dead letters carry the name, and replays are sent to it."""
    assert sorted(_Noting(_REGISTERS[role]).stages) == sorted(stages.items())


def test_every_sink_can_be_given_a_dead_letter_again() -> None:
    """By store_events, into its own table."""
    assert set(sink_agents.SINKS) == set(SINK_STAGES)
