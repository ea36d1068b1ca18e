"""What to do if a cluster rejects the creation of a topic."""

import pytest
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)

from headrace.admin.topic_advice import creation_advice
from headrace.errors import UsageError
from headrace.ops.cat.read import Start
from schemas.kafka_settings import KafkaSettings

KAFKA = KafkaSettings(replication_factor=3, min_insync_replicas=2, partitions=50)


@pytest.mark.parametrize(
    ("error", "detail", "words"),
    [
        (InvalidReplicationFactorError, "", "HEADRACE_KAFKA__REPLICATION_FACTOR is 3"),
        (InvalidPartitionsError, "", "HEADRACE_KAFKA__PARTITIONS is 50"),
        (TopicAuthorizationFailedError, "", "ACL CREATE"),
        (PolicyViolationError, "Config segment.ms is not allowed", "--minimal`, which leaves seg"),
        (InvalidConfigurationError, "Unknown topic config name: min.compaction.lag.ms", "deleted"),
        (PolicyViolationError, "min.insync.replicas", "Set HEADRACE_KAFKA__MIN_INSYNC_REPLICAS"),
        (PolicyViolationError, "max.message.bytes is at most 1048588", "needs max.message.bytes"),
        (PolicyViolationError, "No", "--minimal` leaves min.compaction.lag.ms, segment.ms, min."),
    ],
)
def test_the_refused_config_and_the_setting_or_flag_are_named(
    error: type, detail: str, words: str
) -> None:
    """From the code and the message of the broker."""
    assert words in creation_advice(error.errno, detail, KAFKA, minimal=False)  # type: ignore[attr-defined]


def test_minimal_is_not_proposed_twice() -> None:
    """A config that `--minimal` sends, too, is needed."""
    assert "--minimal" not in creation_advice(44, "cleanup.policy", KAFKA, minimal=True)
    assert "--minimal" not in creation_advice(44, "", KAFKA, minimal=True)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Start()),
        ("end", Start(at_end=True)),
        ("0", Start(offset=0)),
        ("2026-05-01T12:00Z", Start(time_ms=1_777_636_800_000)),
        ("2026-05-01T14:00+02:00", Start(time_ms=1_777_636_800_000)),
        ("1960-01-01", Start(time_ms=0)),
        ("2026-05-01 12:00", Start(time_ms=1_777_636_800_000)),
    ],
)
def test_a_position_is_a_word_an_offset_or_a_time(text: str, start: Start) -> None:
    """A time without an offset is UTC."""
    assert Start.parse(text) == start


@pytest.mark.parametrize("text", ["", "-1", "latest", "12:00"])
def test_another_position_is_rejected(text: str) -> None:
    """With what is valid."""
    with pytest.raises(UsageError, match="2026-05-01T12:00Z"):
        Start.parse(text)
