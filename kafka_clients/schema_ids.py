"""The schema ids of a registry, which a process reads once, before its first Kafka client starts.

Later requests are not made: a registry that is down does not affect running processes.
"""

import asyncio

from kafka_clients.problems import RegistryError
from kafka_clients.schema_registry import SchemaRegistry, open_registry
from schemas.codec import SCHEMA_FILES, SchemaIdError, schema_text, use_registry_ids
from schemas.registry_settings import SchemaRegistrySettings
from schemas.subjects import first_subjects, newest_of_all

_REGISTER = "run `headrace schemas register`"


class SchemaIds:
    """Reads the ids of a registry, and lets this process write and read records with them."""

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        self._settings = settings
        self._are_used = False
        self._lock = asyncio.Lock()

    async def use(self) -> None:
        """Use the ids of the registry; return at once if they are used.

        Raises `RegistryError` if the registry cannot be reached, or lacks a schema that records are
        written with.
        """
        async with self._lock:
            if self._are_used:
                return
            async with open_registry(self._settings) as registry:
                ids = await read_ids(registry)
            require_newest(registry, ids)
            try:
                use_registry_ids(ids)
            except SchemaIdError as error:
                reason = f"{registry.name} cannot be used: {error}; {_REGISTER}"
                raise RegistryError(reason) from error
            self._are_used = True


async def read_ids(registry: SchemaRegistry) -> dict[int, int]:
    """Return the registry's ids by our own, without the schemas that are not registered."""
    wanted = first_subjects()
    found = await asyncio.gather(
        *(registry.find(subject, schema_text(own_id)) for own_id, subject in wanted.items())
    )
    return {
        own_id: registered
        for own_id, registered in zip(wanted, found, strict=True)
        if registered is not None
    }


def require_newest(registry: SchemaRegistry, ids: dict[int, int]) -> None:
    """Raise `RegistryError` if the registry lacks a schema that records are written with."""
    subject_of = first_subjects()
    for own_id in sorted(newest_of_all() - ids.keys()):
        raise RegistryError(
            f"{registry.name} has no schema {SCHEMA_FILES[own_id]} under the subject "
            f"{subject_of[own_id]}: {_REGISTER}"
        )
