"""Authentication and authorization errors of a real broker, and where they are reported."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import trustme
from aiokafka.admin import NewTopic

from kafka_clients.access import check_access
from kafka_clients.clients import make_admin
from kafka_clients.problems import Cause
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from tests.fixtures.secure_kafka import Operation, Pattern, Resource, SecureKafka, needed
from tests.fixtures.waiting import eventually_async
from tests.integration.headrace.roles import READY, own_database, roles_of


@pytest.fixture
def prefix() -> str:
    """Return a unique prefix of topics and groups."""
    return f"{uuid4().hex[:8]}-"


@pytest.fixture
def topic(prefix: str) -> Topic:
    """Return a topic that does not exist yet."""
    return Topic(f"{prefix}states", "", "", "", cleanup="compact")


async def create(broker: SecureKafka, topic: Topic, **changes: str) -> None:
    """Create a topic as headrace does, with `changes` to its configs."""
    admin = make_admin(KafkaSettings(bootstrap_servers=broker.administrator))
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic.name, 1, 1, topic_configs=topic.configs() | changes)]
        )
    finally:
        await admin.close()


def settings(broker: SecureKafka, **changes: str) -> KafkaSettings:
    """Return settings to log in with SCRAM-SHA-256, with `changes`."""
    return KafkaSettings.model_validate(broker.settings("SCRAM-SHA-256") | changes)


async def test_the_documented_acls_are_sufficient(
    secure_kafka: SecureKafka, prefix: str, topic: Topic
) -> None:
    """They do not include DESCRIBE_CONFIGS."""
    await secure_kafka.allow(*needed(prefix))
    await create(secure_kafka, topic)

    problem = await check_access(settings(secure_kafka), [topic], f"{prefix}headrace-streams")

    assert problem is None


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (0, "does not allow this user READ and WRITE on the topic {topic}"),
        (2, "does not allow this user READ on the consumer group {group}"),
    ],
)
async def test_a_missing_acl_is_reported(
    missing: int, message: str, secure_kafka: SecureKafka, prefix: str, topic: Topic
) -> None:
    """With the topic or group."""
    acls = needed(prefix)
    del acls[missing]
    await secure_kafka.allow(*acls)
    await create(secure_kafka, topic)
    group = f"{prefix}headrace-streams"

    problem = await check_access(settings(secure_kafka), [topic], group)

    assert problem is not None
    assert problem.cause is Cause.ACCESS
    assert message.format(topic=topic.name, group=group) in problem.message


async def test_a_wrong_password_is_reported(secure_kafka: SecureKafka, topic: Topic) -> None:
    """Without the password."""
    problem = await check_access(settings(secure_kafka, sasl_password="wrong"), [topic])  # noqa: S106

    assert problem is not None
    assert problem.cause is Cause.LOGIN
    assert "rejects the login" in problem.message
    assert "wrong" not in problem.sentence


async def test_an_untrusted_certificate_is_reported(
    secure_kafka: SecureKafka, topic: Topic, tmp_path: Path
) -> None:
    """With the setting to change."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    kafka = settings(secure_kafka, ssl_ca_file=str(tmp_path / "other.pem"))

    problem = await check_access(kafka, [topic])

    assert problem is not None
    assert "is not trusted" in problem.message
    assert "HEADRACE_KAFKA__SSL_CA_FILE" in problem.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
    ],
)
async def test_a_topic_with_a_wrong_config_is_reported(
    name: str, value: str, secure_kafka: SecureKafka, topic: Topic
) -> None:
    """If the user may describe topic configs."""
    await create(secure_kafka, topic, **{name: value})
    kafka = KafkaSettings(bootstrap_servers=secure_kafka.administrator)

    problem = await check_access(kafka, [topic])

    assert problem is not None
    assert problem.message.startswith(f"The topic {topic.name} has {name}={value} instead of")


@pytest.mark.timeout(400)
async def test_roles_report_a_missing_acl_and_recover_when_it_is_added(
    secure_kafka: SecureKafka, prefix: str, tmp_path: Path
) -> None:
    """In the log, over HTTP with a specific code, and in `status`; without a restart."""
    topic = (Resource.TOPIC, Pattern.PREFIXED, prefix)
    write, group = (*topic, Operation.WRITE), needed(prefix)[2]
    database = own_database(tmp_path)
    administrator = {
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": secure_kafka.administrator,
        "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
    }
    with roles_of(administrator, database, tmp_path) as admin:
        assert admin.run("topics", "create").returncode == 0
    await secure_kafka.allow((*topic, Operation.READ))
    variables = secure_kafka.variables("PLAIN", topic_prefix=prefix)
    with roles_of(variables, database, tmp_path) as roles:
        roles.start("api", "streams")
        roles.wait_for(
            {"api": READY["api"], "streams": f"the consumer group {prefix}headrace-streams"}
        )
        address = f"http://127.0.0.1:{roles.ports['api']}"
        event = {"type": "pageview", "site_id": "shop", "session_id": "s", "path": "/"}

        async with httpx.AsyncClient(base_url=address) as client:
            answer = await client.post("/api/event", json=event)
            ready = await client.get("/readyz")
        status = roles.run("status", "--json")

        assert (answer.status_code, answer.json()["code"]) == (500, "kafka_access_denied")
        assert ready.status_code == 503
        assert f"on the topic {prefix}events-raw" in ready.text
        assert "does not allow this user" in status.stdout
        await secure_kafka.allow(write, group)
        async with httpx.AsyncClient(base_url=address) as client:

            async def accepted() -> bool:
                return (await client.post("/api/event", json=event)).status_code == 202

            await eventually_async(accepted, within_seconds=30, what="the event is accepted")

            async def ready_again() -> bool:
                return (await client.get("/readyz")).status_code == 200

            # It also needs the salt of today, which could not be written before.
            await eventually_async(ready_again, within_seconds=30, what="the role is ready")
        roles.wait_for({"streams": READY["streams"]})
