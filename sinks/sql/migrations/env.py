"""Alembic environment: migrates over the connection that `sinks.sql.migrate` passes."""

from alembic import context

from sinks.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # All revisions run in the caller's transaction; SQLite's DDL is transactional, too.
    transactional_ddl=True,
)
context.run_migrations()
