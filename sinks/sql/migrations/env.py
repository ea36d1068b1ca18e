"""Run by alembic: migrates over the connection that `sinks.sql.migrate` hands in."""

from alembic import context

from sinks.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # The caller's transaction holds everything; SQLite's DDL takes part in it too.
    transactional_ddl=True,
)
context.run_migrations()
