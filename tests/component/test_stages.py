"""The table of stages names the agents that there are, and what they read."""

from functools import partial
from typing import Any

import pytest

from schemas.stages import SINK_STAGES, STREAM_STAGES
from schemas.topics import Topic
from sinks.agents import store_alerts, store_durations, store_events, store_sessions
from sinks.agents.stored import OF_STAGE
from streams.agents import aggregate_durations, raise_alerts, route_events, sessionize
from streams.domain.subscriptions import Subscriptions
from tests.component.streams.bench import Bench
from tests.unit.streams.samples import RULES

_ANYTHING: Any = None
_AGENTS: dict[str, list[Any]] = {
    "streams": [
        partial(route_events.register, tail=_ANYTHING, partition_of_site=_ANYTHING),
        partial(sessionize.register, rules=RULES),
        aggregate_durations.register,
        partial(raise_alerts.register, subscriptions=Subscriptions(), complete=_ANYTHING),
    ],
    "sinks": [
        partial(agent.register, writer=_ANYTHING)
        for agent in (store_events, store_sessions, store_durations, store_alerts)
    ],
}


@pytest.mark.parametrize(("role", "stages"), [("streams", STREAM_STAGES), ("sinks", SINK_STAGES)])
def test_a_stage_is_an_agent_by_its_name(role: str, stages: dict[str, Topic]) -> None:
    """Dead letters carry the name, and replays are sent to it."""
    benches = [Bench(register) for register in _AGENTS[role]]

    assert {bench.process.__name__: bench.source for bench in benches} == stages


def test_every_sink_can_be_given_a_dead_letter_again() -> None:
    """By store_events, into its own table."""
    assert {name.decode() for name in OF_STAGE} == set(SINK_STAGES)
