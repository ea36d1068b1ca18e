"""Schemas in a registry of another implementation, which contains foreign schemas."""

import base64
import json
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.admin.schemas import RESERVED, check_schemas, register_schemas, with_url
from headrace.cli.main import app
from headrace.errors import UsageError, UserError
from kafka_clients.clients import make_consumer
from kafka_clients.problems import RegistryError
from kafka_clients.registered_ids import use_registered_ids, use_registry
from kafka_clients.schema_registry import open_registry
from schemas import codec
from schemas.codec import SCHEMA_FILES, ids_of, schema_text
from schemas.kafka_settings import KafkaSettings
from schemas.records import Alert, Replay
from schemas.registry_settings import SchemaRegistrySettings
from schemas.subjects import subjects
from tests.fixtures.apicurio import apicurio
from tests.fixtures.schema_registry import StartRegistry, running

#: Flags of the registry: empty or with foreign schemas under our ids, with the mode IMPORT or not.
KINDS = {
    "empty": (),
    "import": ("-import",),
    **{f"foreign-{count}": ("-foreign", str(count)) for count in (3, 7, 22)},
    "foreign-import": ("-foreign", "22", "-import"),
    "many": ("-foreign", "300"),
}
PASSWORD = "correct horse"  # noqa: S105 - of this registry only
REPLAY = Replay(stage="sessionize", origin="events-raw/0/1", src_offset=9, log_ms=0)


@pytest.fixture(autouse=True)
def _own_ids() -> Iterator[None]:
    """Use our own ids again after the test."""
    yield
    use_registry(SchemaRegistrySettings())
    codec.use_registry_ids({})


def get(url: str) -> Any:
    """Return the decoded response of a GET request."""
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own server
        return json.load(response)


def wire_id(message: bytes) -> int:
    """Return the schema id in a message."""
    return int(struct.unpack_from(">bI", message)[1])


@pytest.mark.parametrize("kind", KINDS)
async def test_all_schemas_are_registered_and_can_be_told_apart(
    kind: str, start_registry: StartRegistry
) -> None:
    """Under our ids if the registry lets clients choose and they are free."""
    url = start_registry(*KINDS[kind])
    settings = SchemaRegistrySettings(url=url)
    before = get(f"{url}/subjects")
    assert len(await check_schemas(settings)) >= len(SCHEMA_FILES)

    (ids, added) = await register_schemas(settings)

    assert added == len(SCHEMA_FILES)
    assert ids.keys() == SCHEMA_FILES.keys()
    foreign = int(KINDS[kind][1]) if "-foreign" in KINDS[kind] else 0
    for own, registered in ids.items():
        if "-import" in KINDS[kind] and own > foreign:
            assert registered == own
        else:
            assert registered > codec.LAST_ID
        assert json.loads(get(f"{url}/schemas/ids/{registered}")["schema"]) == json.loads(
            schema_text(own)
        )
    for subject in subjects():
        latest = get(f"{url}/subjects/{subject.name}/versions/latest")
        assert latest["id"] == ids[subject.schema_ids[-1]]
        assert latest["version"] == len(subject.schema_ids)
        assert get(f"{url}/mode/{subject.name}") == {"mode": "READWRITE"}
    assert await check_schemas(settings) == []
    assert await register_schemas(settings) == (ids, 0)
    registered_subjects = {subject.name for subject in subjects()} | {RESERVED}
    assert set(get(f"{url}/subjects")) == {*before, *registered_subjects}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_apicurio_ignores_the_requested_ids(tmp_path: Path) -> None:
    """In the mode IMPORT, too; and it gives each subject its own ids. Ours are not mixed up."""
    with apicurio(tmp_path) as url:
        settings = SchemaRegistrySettings(url=url)
        async with open_registry(settings) as registry:
            for number in range(3):
                foreign = {"type": "record", "name": f"Foreign{number}", "fields": []}
                await registry.register(f"foreign-{number}-value", json.dumps(foreign))

        (ids, added) = await register_schemas(settings)

        assert ids.keys() == SCHEMA_FILES.keys()
        assert added == len(SCHEMA_FILES)
        assert min(ids.values()) > codec.LAST_ID
        assert await check_schemas(settings) == []
        assert (await register_schemas(settings)).added == 0
        use_registry(settings)
        await use_registered_ids()
        own = codec.encode(REPLAY)
        newest = json.loads(get(f"{url}/schemas/ids/{wire_id(own)}")["schema"])
        assert newest == json.loads(schema_text(ids_of("Replay")[-1]))


async def test_records_are_written_with_the_ids_of_the_registry_and_read_with_both(
    start_registry: StartRegistry, kafka: str
) -> None:
    """From the start of the first Kafka client on; the registry is not used after that."""
    own_message, own_id = codec.encode(REPLAY), ids_of("Replay")[-1]
    assert wire_id(own_message) == own_id
    with running("-foreign", "40") as url:
        settings = SchemaRegistrySettings(url=url)
        ids = (await register_schemas(settings)).ids
        use_registry(settings)
        async with make_consumer(KafkaSettings(bootstrap_servers=kafka)):
            pass

    message = codec.encode(REPLAY)

    assert wire_id(message) == ids[own_id]
    assert message[5:] == own_message[5:]
    assert codec.decode(message, Replay) == codec.decode(own_message, Replay) == REPLAY
    with pytest.raises(codec.CodecError):
        codec.decode(message, Alert)
    async with make_consumer(KafkaSettings(bootstrap_servers=kafka)):
        pass  # does not ask the registry, which is down


async def test_a_registry_that_is_down_or_lacks_a_schema_is_waited_for(
    start_registry: StartRegistry, kafka: str
) -> None:
    """A client does not start, says why, and starts once the schemas are registered."""
    url = start_registry()
    use_registry(SchemaRegistrySettings(url="http://127.0.0.1:9"))
    with pytest.raises(RegistryError, match=r"127.0.0.1:9 cannot be reached .*start it"):
        await use_registered_ids()

    settings = SchemaRegistrySettings(url=url)
    use_registry(settings)
    consumer = make_consumer(KafkaSettings(bootstrap_servers=kafka))
    with pytest.raises(RegistryError, match="run `headrace schemas register`"):
        await consumer.start()
    await register_schemas(settings)
    await use_registered_ids()

    assert wire_id(codec.encode(REPLAY)) > codec.LAST_ID


async def test_basic_authentication(start_registry: StartRegistry) -> None:
    """A wrong password is reported with the settings."""
    token = base64.b64encode(f"ops:{PASSWORD}".encode()).decode()
    url = start_registry("-import", "-auth", f"Basic {token}")

    right = SchemaRegistrySettings(url=url, username="ops", password=PASSWORD)
    assert (await register_schemas(right)).added == len(SCHEMA_FILES)
    for wrong in ({"username": "ops", "password": "x"}, {}):
        with pytest.raises(UserError, match=r"rejects the login .*HEADRACE_SCHEMA_REGISTRY__"):
            await check_schemas(SchemaRegistrySettings.model_validate({"url": url, **wrong}))


async def test_a_version_of_another_program_is_reported(start_registry: StartRegistry) -> None:
    """Consumers of the latest version would read it."""
    url = start_registry("-import")
    await register_schemas(SchemaRegistrySettings(url=url))
    async with open_registry(SchemaRegistrySettings(url=url)) as registry:
        assert await registry.register("alerts-value", '"string"') == 256

    (problem,) = await check_schemas(SchemaRegistrySettings(url=url))

    assert problem.startswith("alerts-value has a version 3 with the id 256")


def test_the_commands_say_what_to_do(
    start_registry: StartRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And exit with 1 while the registry and the schemas differ."""
    url = start_registry("-foreign", "5")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["schemas", *words])
        return done.exit_code, done.stdout

    (code, shown) = run("check", "--registry", url)
    assert code == 1
    assert "events-raw-value has no schema raw_event.avsc: run `headrace schemas register`" in shown

    (code, shown) = run("register", "--registry", url)
    assert code == 0
    assert f"{len(SCHEMA_FILES)} schemas registered; 0 existed already." in shown
    assert f"Set HEADRACE_SCHEMA_REGISTRY__URL={url}" in shown

    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY__URL", url)
    assert run("check") == (0, f"The schema registry at {url} has all schemas.\n")


def test_a_registry_must_be_given_as_a_url() -> None:
    """As an option or a setting."""
    for url in (None, "localhost:8081", "http://user@host"):
        with pytest.raises(UsageError, match=r"--registry"):
            with_url(SchemaRegistrySettings(), url)
