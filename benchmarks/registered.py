"""Registers each agent with a worker, with minimal dependencies."""

from collections.abc import Callable
from functools import partial

from benchmarks.live_sessions import RULES
from streams.agents import aggregate_durations, count_live, raise_alerts, route_events, sessionize
from streams.agents.count_live import Counting
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.log_tail import LogTail
from streams.engine.worker import Worker

Register = Callable[[Worker], None]


async def _subscriptions_are_complete() -> None:
    pass


def registrations(
    tail: LogTail, partition_of_site: Callable[[bytes], int], counting: Counting
) -> dict[str, Register]:
    """Return the functions that register the agents, by agent name."""
    return {
        "route_events": partial(
            route_events.register, tail=tail, partition_of_site=partition_of_site
        ),
        "sessionize": partial(sessionize.register, rules=RULES),
        "aggregate_durations": aggregate_durations.register,
        "raise_alerts": partial(
            raise_alerts.register,
            subscriptions=Subscriptions(),
            complete=_subscriptions_are_complete,
        ),
        "count_live": partial(count_live.register, counting=counting),
    }
