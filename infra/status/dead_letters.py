"""Dead letters of the last hour that nobody has replayed or discarded, by topic."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from infra.dead_letters.read import open_reader
from infra.status.model import DeadLetterCount
from schemas.kafka_settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, dead_letters_of

_HOUR_MS = 3_600_000


async def counts(kafka: KafkaSettings, kept: Mapping[str, int]) -> list[DeadLetterCount]:
    """Return the counts of each dead letter topic in `kept`, which says how much it holds.

    A dead letter that was written twice, after a crash in between, counts once in the last hour.
    """
    recent: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    since_ms = int(time.time() * 1_000) - _HOUR_MS
    async with open_reader(kafka, None, since_ms) as letters:
        (replayed, discarded) = letters.resolutions
        async for _, letter in letters:
            recent[letter.id.topic] += 1
            settled[letter.id.topic] += letter.key in replayed or letter.key in discarded
    (of_replayed, of_discarded) = (by_topic(noted) for noted in (replayed, discarded))
    return [
        DeadLetterCount(
            topic=topic,
            kept=count,
            last_hour=recent[topic],
            open=recent[topic] - settled[topic],
            replayed=of_replayed[topic],
            discarded=of_discarded[topic],
        )
        for topic, count in kept.items()
    ]


def by_topic(names: Iterable[str]) -> Counter[str]:
    """Count dead letters, by their names, by the topic that they are in."""
    known = {topic.name for topic in DEAD_LETTERS}
    topics = (name.partition(":")[2].rpartition("/")[0].rpartition("/")[0] for name in names)
    return Counter(topic if topic in known else dead_letters_of(topic) for topic in topics)
