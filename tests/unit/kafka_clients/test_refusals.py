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
    UnsupportedSaslMechanismError,
)
from hypothesis import given
from hypothesis import strategies as st

from kafka_clients.problems import Cause, explain_error, topic_problems
from schemas.topics import ALERTS, IMPORT_WINDOWS, SESSIONS, TOPICS, Topic

topics = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.base_name)


@pytest.mark.parametrize(
    ("error", "cause", "pattern"),
    [
        (TopicAuthorizationFailedError({"b", "a"}), Cause.ACCESS, "WRITE on the topic a, b:"),
        (TopicAuthorizationFailedError(), Cause.ACCESS, "READ and WRITE on the topic sessions:"),
        (GroupAuthorizationFailedError("g"), Cause.ACCESS, "READ on the consumer group g:"),
        (ClusterAuthorizationFailedError(), Cause.ACCESS, "the request on the cluster:"),
        (SaslAuthenticationFailed("no such user"), Cause.LOGIN, r"the login \(no such user\)"),
        # aiokafka names the connection instead of the error.
        (UnsupportedSaslMechanismError(object()), Cause.LOGIN, r"\(UnsupportedSaslMechanism"),
        (MessageSizeTooLargeError(), Cause.SIZE, "records of sessions as too large"),
        (ssl.SSLError(1, "alert"), Cause.LOGIN, "rejects the TLS connection"),
    ],
)
def test_an_error_that_needs_an_operator_is_explained(
    error: Exception, cause: Cause, pattern: str
) -> None:
    """The sentence names the brokers, and the topic or group."""
    problem = explain_error(error, "kafka:9093", "sessions")

    assert problem is not None
    assert problem.cause is cause
    assert problem.sentence.startswith("Kafka at kafka:9093 ")
    assert re.search(pattern, problem.sentence)


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), NotLeaderForPartitionError(), OSError(), ValueError()]
)
def test_a_transient_error_is_not_explained(error: Exception) -> None:
    """Clients retry it."""
    assert explain_error(error, "kafka:9093") is None


@topics
def test_topics_as_headrace_creates_them_are_valid(topic: Topic) -> None:
    """With any retention and a larger record limit, too."""
    configs = topic.configs() | {"retention.ms": "1", "max.message.bytes": "10000000"}

    assert not list(topic_problems(topic, topic.configs()))
    assert not list(topic_problems(topic, configs))


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
def test_a_wrong_config_of_a_topic_is_reported(topic: Topic, name: str, value: str) -> None:
    """With the expected value, and the command that sets it."""
    [problem] = topic_problems(topic, topic.configs() | {name: value})

    assert problem.cause is Cause.TOPIC
    assert problem.message.startswith(f"The topic {topic.name} has {name}={value} instead of ")
    assert f"--add-config {name}=" in problem.hint


@given(st.sampled_from(TOPICS), st.integers(0, 4 * 1024 * 1024))
def test_a_topic_must_accept_records_of_the_maximum_size(topic: Topic, size: int) -> None:
    """A larger limit is valid, a smaller one is a problem."""
    problems = list(topic_problems(topic, topic.configs() | {"max.message.bytes": str(size)}))

    assert bool(problems) == (size < int(topic.configs()["max.message.bytes"]))
