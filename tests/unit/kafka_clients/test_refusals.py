import re
import ssl

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from hypothesis import given
from hypothesis import strategies as st

from kafka_clients.refusals import Cause, refusal_of, topic_faults
from schemas.topics import ALERTS, IMPORT_WINDOWS, SESSIONS, TOPICS, Topic

topics = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.base_name)


@pytest.mark.parametrize(
    ("error", "cause", "says"),
    [
        (TopicAuthorizationFailedError({"b", "a"}), Cause.ACCESS, "WRITE on the topic a, b:"),
        (TopicAuthorizationFailedError(), Cause.ACCESS, "READ and WRITE on the topic sessions:"),
        (GroupAuthorizationFailedError("g"), Cause.ACCESS, "READ on the consumer group g:"),
        (ClusterAuthorizationFailedError(), Cause.ACCESS, "the request on the cluster:"),
        (SaslAuthenticationFailed("no such user"), Cause.LOGIN, r"the login \(no such user\)"),
        (MessageSizeTooLargeError(), Cause.SIZE, "records of sessions as too large"),
        (ssl.SSLError(1, "alert"), Cause.LOGIN, "refuses the TLS connection"),
    ],
)
def test_a_refusal_says_what_is_refused(error: Exception, cause: Cause, says: str) -> None:
    """And where; what to do follows."""
    refusal = refusal_of(error, "kafka:9093", "sessions")

    assert refusal is not None
    assert refusal.cause is cause
    assert refusal.sentence.startswith("Kafka at kafka:9093 ")
    assert re.search(says, refusal.sentence)


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), NotLeaderForPartitionError(), OSError(), ValueError()]
)
def test_what_may_pass_is_no_refusal(error: Exception) -> None:
    """It is waited for."""
    assert refusal_of(error, "kafka:9093") is None


@topics
def test_topics_as_headrace_creates_them_are_right(topic: Topic) -> None:
    """Also with larger records, and kept longer or shorter."""
    configs = topic.configs() | {"retention.ms": "1", "max.message.bytes": "10000000"}

    assert not list(topic_faults(topic, topic.configs()))
    assert not list(topic_faults(topic, configs))


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        (SESSIONS, "cleanup.policy", "delete"),
        (SESSIONS, "cleanup.policy", "compact,delete"),
        (ALERTS, "cleanup.policy", "compact"),
        (IMPORT_WINDOWS, "cleanup.policy", "compact"),
        (ALERTS, "message.timestamp.type", "CreateTime"),
        (ALERTS, "max.message.bytes", "1048588"),
    ],
)
def test_a_wrong_setting_of_a_topic_is_named(topic: Topic, name: str, value: str) -> None:
    """With what is right, and the command that sets it."""
    [fault] = topic_faults(topic, topic.configs() | {name: value})

    assert fault.cause is Cause.TOPIC
    assert fault.what.startswith(f"The topic {topic.name} has {name}={value} instead of ")
    assert f"--add-config {name}=" in fault.do


@given(st.sampled_from(TOPICS), st.integers(0, 4 * 1024 * 1024))
def test_a_topic_must_take_records_of_a_size(topic: Topic, size: int) -> None:
    """Of that size and any above it."""
    faults = list(topic_faults(topic, topic.configs() | {"max.message.bytes": str(size)}))

    assert bool(faults) == (size < int(topic.configs()["max.message.bytes"]))
