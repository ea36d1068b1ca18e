"""The number of dead letters by topic."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from headrace.ops.dead_letters.reader import open_reader
from headrace.ops.status.model import DeadLetterCount
from schemas.kafka_settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, dead_letters_of

_HOUR_MS = 3_600_000


async def counts(kafka: KafkaSettings, kept: Mapping[str, int]) -> list[DeadLetterCount]:
    """Return the counts of the topics in `kept`, which maps them to their numbers of records.

    Duplicates, which a stage writes after a crash, count once in the last hour.
    """
    recent: Counter[str] = Counter()
    resolved: Counter[str] = Counter()
    since_ms = int(time.time() * 1_000) - _HOUR_MS
    async with open_reader(kafka, None, since_ms) as reader:
        resolutions = reader.resolutions
        async for _, letter in reader:
            recent[letter.id.topic] += 1
            resolved[letter.id.topic] += any(letter.key in keys for keys in resolutions)
    (replayed_by_topic, discarded_by_topic) = (count_by_topic(keys) for keys in resolutions)
    return [
        DeadLetterCount(
            topic=topic,
            kept=count,
            last_hour=recent[topic],
            open=recent[topic] - resolved[topic],
            replayed=replayed_by_topic[topic],
            discarded=discarded_by_topic[topic],
        )
        for topic, count in kept.items()
    ]


def count_by_topic(keys: Iterable[str]) -> Counter[str]:
    """Count dead letters by topic, given their keys."""
    dead_letter_topics = {topic.name for topic in DEAD_LETTERS}
    topics = (key.partition(":")[2].rpartition("/")[0].rpartition("/")[0] for key in keys)
    return Counter(
        topic if topic in dead_letter_topics else dead_letters_of(topic) for topic in topics
    )
