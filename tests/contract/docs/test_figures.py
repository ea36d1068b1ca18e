"""The figure of the data flow is complete and up to date."""

from pathlib import Path
from pkgutil import iter_modules

from docs import figures
from schemas.stages import SINK_STAGES
from schemas.topics import (
    ALERT_STATES,
    BLOCKED_IDS,
    CLUSTER_EPOCHS,
    ERASURES,
    IMPORT_WINDOWS,
    PROCESSES,
    REPLAYS,
    SALTS,
    SITES,
    SUBSCRIPTIONS,
    TOPICS,
)

#: Configuration and internal state.
NOT_DRAWN = {
    ALERT_STATES,
    BLOCKED_IDS,
    CLUSTER_EPOCHS,
    ERASURES,
    IMPORT_WINDOWS,
    PROCESSES,
    REPLAYS,
    SALTS,
    SITES,
    SUBSCRIPTIONS,
}
#: Modules that move no events.
SERVICE_AGENTS = {"count_discarded", "follow_subscriptions", "replaying", "report_live"}


def test_the_file_is_what_the_generator_draws() -> None:
    """`make docs` writes it."""
    assert figures.FLOW.read_text("utf-8") == figures.flow()


def test_every_topic_is_drawn() -> None:
    """Except internal ones; nothing else is drawn as a topic."""
    expected = {topic.base_name for topic in TOPICS if not topic.base_name.endswith("-dlq")}
    expected -= {topic.base_name for topic in NOT_DRAWN}

    assert {box.name for box in figures.BOXES if box.kind == "topic"} == expected


def test_every_agent_is_drawn() -> None:
    """By the name of its module, which is the name of its function; sinks by their stage."""
    agents = {module.name for module in iter_modules([str(Path("streams/agents"))])}
    labels = {arrow.label for arrow in figures.ARROWS if arrow.label}

    assert (agents - SERVICE_AGENTS) | SINK_STAGES.keys() <= labels
