"""The schema registry that this process uses, if one is configured."""

from typing import TYPE_CHECKING

from schemas.registry_settings import SchemaRegistrySettings

if TYPE_CHECKING:  # aiohttp takes 0.1 s to import, and is needed only with a registry
    from kafka_clients.schema_ids import SchemaIds

_ids: "SchemaIds | None" = None


def use_registry(settings: SchemaRegistrySettings) -> None:
    """Use a registry from the next start of a Kafka client on; called when settings are loaded."""
    global _ids  # noqa: PLW0603 - constant after start
    if not settings.url:
        _ids = None
        return
    from kafka_clients.schema_ids import SchemaIds  # noqa: PLC0415 - see above

    _ids = SchemaIds(settings)


async def use_registered_ids() -> None:
    """Write and read records with the ids of the registry, if one is configured.

    Returns at once if they are used already. Raises `RegistryError`, a `ConnectionError`, if they
    cannot be read.
    """
    if _ids is not None:
        await _ids.use()
