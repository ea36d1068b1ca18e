"""Register the Avro schemas in a schema registry, and compare both (ADR 70)."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from headrace.errors import UsageError, UserError
from kafka_clients.problems import RegistryError
from kafka_clients.schema_ids import read_ids
from kafka_clients.schema_registry import SchemaRegistry, open_registry
from schemas.codec import LAST_ID, SCHEMA_FILES, SchemaIdError, check_registry_ids, schema_text
from schemas.registry_settings import SchemaRegistrySettings
from schemas.subjects import Subject, subjects

#: The subject of the schemas that keep the ids up to `LAST_ID` from being assigned.
RESERVED = "headrace-reserved-ids"


class Registration(NamedTuple):
    """The registry's ids by our own, and how many schemas were not registered before."""

    ids: dict[int, int]
    added: int


def with_url(settings: SchemaRegistrySettings, url: str | None) -> SchemaRegistrySettings:
    """Return the settings with another URL, if there is one. Raises UsageError without any."""
    if url is not None:
        try:
            url = SchemaRegistrySettings(url=url).url
        except ValueError:
            raise UsageError(
                f"--registry {url} is not a URL: it must be http:// or https://, a host and an "
                "optional path, without a user"
            ) from None
        settings = settings.model_copy(update={"url": url})
    if not settings.url:
        raise UsageError("Specify a registry with --registry or HEADRACE_SCHEMA_REGISTRY__URL")
    return settings


async def register_schemas(settings: SchemaRegistrySettings) -> Registration:
    """Register all schemas, under our ids where the registry allows it. Idempotent.

    Raises UserError if the registry fails, rejects a schema, or assigned an id that cannot be used.
    """
    async with _opened(settings) as registry:
        ids = await read_ids(registry)
        can_choose = ids.keys() != SCHEMA_FILES.keys() and await _reserve(registry)
        added = 0
        for subject in subjects():
            for own_id in subject.schema_ids:
                schema = schema_text(own_id)
                if await registry.find(subject.name, schema) is not None:
                    continue
                added += own_id not in ids
                chosen = None
                if can_choose and own_id not in ids and await registry.schema(own_id) is None:
                    chosen = own_id
                registered = await _register(registry, subject.name, own_id, chosen)
                ids.setdefault(own_id, registered)
        try:
            check_registry_ids(ids)
        except SchemaIdError as error:
            raise UserError(f"{registry.name} cannot be used: {error}. {_DELETE}") from error
    return Registration(ids, added)


async def check_schemas(settings: SchemaRegistrySettings) -> list[str]:
    """Return the differences between a registry and our schemas, as sentences with what to do."""
    async with _opened(settings) as registry:
        problems = [
            problem for subject in subjects() for problem in await _problems_of(registry, subject)
        ]
        problems += _id_problems(await read_ids(registry))
    return problems


_REGISTER = "run `headrace schemas register`"
_DELETE = (
    "Delete that version permanently from the registry, then run `headrace schemas register`; or "
    "use another registry, or a context of it (URL/contexts/.headrace)"
)


async def _problems_of(registry: SchemaRegistry, subject: Subject) -> list[str]:
    problems = []
    newest = None
    for own_id in subject.schema_ids:
        newest = await registry.find(subject.name, schema_text(own_id))
        if newest is not None:
            continue
        problem = f"{subject.name} has no schema {SCHEMA_FILES[own_id]}"
        if await registry.is_compatible(subject.name, schema_text(own_id)):
            problems.append(f"{problem}: {_REGISTER}")
        else:
            problems.append(f"{problem}, and rejects it as incompatible: {_FOREIGN}")
    latest = await registry.latest(subject.name)
    if newest is not None and latest is not None and latest[1] != newest:
        problems.append(
            f"{subject.name} has a version {latest[0]} with the id {latest[1]}, which is newer "
            f"than {SCHEMA_FILES[subject.schema_ids[-1]]} and not a schema of this version of "
            "headrace: upgrade headrace, or delete that version"
        )
    return problems


_FOREIGN = (
    "another program registered schemas there. Delete them, or give headrace's topics another "
    "name with HEADRACE_KAFKA__TOPIC_PREFIX"
)


def _id_problems(ids: Mapping[int, int]) -> Iterator[str]:
    try:
        check_registry_ids(ids)
    except SchemaIdError as error:
        yield f"The ids cannot be used: {error}. {_DELETE}"


async def _register(registry: SchemaRegistry, subject: str, own_id: int, chosen: int | None) -> int:
    """Register a schema, with an id or the next one of the registry; return its id."""
    schema = schema_text(own_id)
    # In the mode IMPORT, registries do not check this.
    if not await registry.is_compatible(subject, schema):
        raise UserError(
            f"{registry.name} rejects {SCHEMA_FILES[own_id]} in the subject {subject} as "
            f"incompatible: {_FOREIGN}"
        )
    if chosen is None:
        return await registry.register(subject, schema)
    async with registry.importing(subject):
        return await registry.register(subject, schema, chosen)


async def _reserve(registry: SchemaRegistry) -> bool:
    """Let the registry assign no id up to `LAST_ID`; return whether ids can be chosen.

    Otherwise it could assign our id of one version to another version of the same record.
    """
    latest = await registry.latest(RESERVED)
    if latest is not None and latest[1] > LAST_ID:
        return False
    try:
        async with registry.importing(RESERVED):
            if await registry.register(RESERVED, _placeholder(LAST_ID), LAST_ID) == LAST_ID:
                return True
    except RegistryError:
        pass  # the registry does not allow chosen ids, or the id is taken
    for number in range(2 * LAST_ID):
        if await registry.register(RESERVED, _placeholder(number)) > LAST_ID:
            return False
    raise UserError(f"{registry.name} does not assign increasing ids, which headrace needs")


def _placeholder(number: int) -> str:
    """Return a schema that is compatible with all other placeholders."""
    field = {"name": f"id_{number}", "type": ["null", "int"], "default": None}
    doc = f"Keeps the ids up to {LAST_ID} for headrace; do not delete it."
    schema = {"type": "record", "name": "Reserved", "namespace": "headrace", "doc": doc}
    return json.dumps({**schema, "fields": [field]})


@asynccontextmanager
async def _opened(settings: SchemaRegistrySettings) -> AsyncIterator[SchemaRegistry]:
    try:
        async with open_registry(settings) as registry:
            yield registry
    except RegistryError as error:
        raise UserError(str(error)) from error
