import re

import pytest

from schemas.event_types import EVENT_TYPES
from schemas.topics import (
    DEAD_LETTERS,
    EVENTS_RAW,
    LIVE_COUNTERS,
    MAX_RECORD_BYTES,
    MIN_COMPACTION_LAG_MS,
    PROCESSES,
    TOPICS,
    Topic,
    dead_letters_of,
)

BY_NAME = {topic.name: topic for topic in TOPICS}
topics = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)

#: The public topics with their keys. Topics may be added, but not renamed.
NAMES = {
    "events-raw": "site_id:session_id",
    "events-session": "site_id:session_id",
    "events-pageleave": "site_id:session_id",
    "events-alert": "site_id",
    "sessions": "site_id:session_id",
    "visits": "visit_id",
    "page-durations": "partition:site_id:hour:path",
    "alert-states": "site_id:rule:subject",
    "subscriptions": "subscription_id",
    "live-counters": "site_id",
    "alerts": "site_id",
    "replays": "stage:topic/partition/offset",
    "import-windows": "site_id:window_id",
    "cluster-epochs": "cluster_id",
    "salts": "day",
    "sites": "site_id",
    "blocked-ids": "site_id:hash",
    "erasures": "site_id:hash",
    "processes": "process_id",
}


def test_names_and_keys_of_topics_never_change() -> None:
    """Consumers, consumer groups and tables depend on them."""
    assert {topic.name: topic.key for topic in TOPICS if topic not in DEAD_LETTERS} == NAMES
    assert len(BY_NAME) == len(TOPICS)


@topics
def test_a_topic_follows_the_naming_convention(topic: Topic) -> None:
    """Kebab-case and plural, with a description."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name)
    assert topic.about
    assert topic in DEAD_LETTERS or topic.name.endswith("s") or topic.name.startswith("events-")


@pytest.mark.parametrize("topic", DEAD_LETTERS, ids=lambda topic: topic.name)
def test_a_dead_letter_topic_belongs_to_a_source_topic(topic: Topic) -> None:
    """Records are unchanged, so it has the same key and record, and 30 days of retention."""
    source = BY_NAME[topic.name.removesuffix("-dlq")]

    assert dead_letters_of(source.name) == topic.name
    assert (topic.key, topic.record) == (source.key, source.record)
    assert topic.configs()["retention.ms"] == str(30 * 24 * 3_600_000)


def test_every_topic_that_agents_read_has_dead_letters() -> None:
    """All but internal tables and topics that are read without a group."""
    without = {topic.name for topic in TOPICS if topic not in DEAD_LETTERS} - {
        topic.name.removesuffix("-dlq") for topic in DEAD_LETTERS
    }

    assert without == {
        "alert-states",
        "blocked-ids",
        "cluster-epochs",
        "erasures",
        "import-windows",
        "live-counters",
        "processes",
        "replays",
        "salts",
        "sites",
        "subscriptions",
        "visits",
    }


@topics
def test_the_cleanup_policy_of_a_topic(topic: Topic) -> None:
    """Compacted topics keep each version for a day or more, so that no sink misses the last one."""
    configs = topic.configs()

    assert configs["max.message.bytes"] == str(MAX_RECORD_BYTES)
    policies = configs["cleanup.policy"].split(",")
    assert ("retention.ms" in configs) == ("delete" in policies)
    if "compact" in policies:
        assert int(configs["min.compaction.lag.ms"]) >= MIN_COMPACTION_LAG_MS
        assert int(configs["segment.ms"]) < MIN_COMPACTION_LAG_MS
    else:
        assert configs["cleanup.policy"] == "delete"
        minimum_hours = 1 if topic in (LIVE_COUNTERS, PROCESSES) else 24
        assert int(configs["retention.ms"]) >= minimum_hours * 3_600_000


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_timestamps_are_those_of_the_broker(topic: Topic) -> None:
    """Stream time depends on its clock only, and wrong clocks of producers have no effect."""
    assert topic.configs()["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda one: one.name)
def test_an_event_type_is_routed_to_topics_of_events(event_type: object) -> None:
    """Existing ones other than `events-raw`."""
    routes = getattr(event_type, "routes", ())

    assert routes
    for topic in routes:
        assert BY_NAME[topic.name] is topic
        assert topic.record == "RawEvent"
        assert topic is not EVENTS_RAW
