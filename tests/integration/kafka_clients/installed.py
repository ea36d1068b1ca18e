"""Roles over TLS, as a user with the ACLs of docs/kafka.md."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fixtures.secure_kafka import Operation, Pattern, Resource, SecureKafka, needed
from tests.integration.headrace.roles import Roles, own_database, roles_of


@asynccontextmanager
async def installed(
    broker: SecureKafka, mechanism: str, prefix: str, folder: Path
) -> AsyncIterator[Roles]:
    """Create the topics and yield roles, not started.

    The user has the CREATE ACL only while `topics create` runs.
    """
    create = (Resource.TOPIC, Pattern.PREFIXED, prefix, Operation.CREATE)
    variables = broker.variables(mechanism, topic_prefix=prefix)
    with roles_of(variables, own_database(folder), folder) as roles:
        await broker.allow(create)
        done = roles.run("topics", "create")
        assert done.returncode == 0, done.stderr
        await broker.deny(create)
        await broker.allow(*needed(prefix))
        yield roles
