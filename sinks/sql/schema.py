"""What a database's schema is, as facts, and how it differs from what the models make.

Alembic's own comparison is blind to conditions of indexes, CHECKs, missing primary keys and
views. Here the models are created beside the real tables (in memory, or in PostgreSQL's
temporary schema) and both are described by the same function, so both speak the engine's words.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Inspector, StaticPool, create_engine, inspect, text

from sinks.sql.tables import METADATA, VIEWS

Facts = dict[str, str]

#: What the inspector says of an option that an index has not.
_NOTHING = {"", "None", "False", "0", "[]", "{}"}


def differences(connection: Connection) -> list[str]:
    """Return a sentence for each difference; writes nothing that lasts."""
    found = describe(connection)
    if connection.dialect.name == "postgresql":
        expected = _expected_on_postgres(connection)
    else:
        expected = _expected_on_sqlite()
    return list(_sentences(expected, found))


def describe(connection: Connection, schema: str | None = None) -> Facts:
    """Return the facts about headrace's tables and views: names, and how each is made."""
    inspector = inspect(connection)
    tables = set(METADATA.tables)
    facts: Facts = {}
    for table in tables if schema else tables & set(inspector.get_table_names()):
        facts[f"table {table}"] = _kind_of_table(connection, table)
        facts |= _columns(inspector, table, schema)
        for kind, found in (
            ("index", inspector.get_indexes(table, schema)),
            ("unique constraint", inspector.get_unique_constraints(table, schema)),
            ("check", inspector.get_check_constraints(table, schema)),
            ("foreign key", inspector.get_foreign_keys(table, schema)),
        ):
            facts |= {f"{kind} {one['name']} of {table}": _options(dict(one)) for one in found}
    for view in VIEWS:
        if (definition := _view(connection, view, schema)) is not None:
            facts[f"view {view}"] = re.sub(r"\s+", " ", definition).strip()
    return facts


def _sentences(expected: Facts, found: Facts) -> Iterator[str]:
    # A missing table's own sentence says it all.
    gone = [name for name in expected.keys() - found.keys() if name.startswith("table ")]
    of_missing = tuple(f" of {name.removeprefix('table ')}" for name in gone)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            if not name.endswith(of_missing):
                yield f"missing: {name}"
        elif name not in expected:
            yield f"not in the models: {name} ({found[name]})"
        elif expected[name] != found[name]:
            yield f"differs: {name} is ({found[name]}), the models say ({expected[name]})"


def _columns(inspector: Inspector, table: str, schema: str | None) -> Facts:
    facts: Facts = {}
    for column in inspector.get_columns(table, schema):
        kind = column["type"].compile(inspector.dialect)
        null = "" if column["nullable"] else " NOT NULL"
        default = f" DEFAULT {column['default']}" if column["default"] else ""
        facts[f"column {column['name']} of {table}"] = f"{kind}{null}{default}"
    key = inspector.get_pk_constraint(table, schema)
    if columns := key["constrained_columns"]:
        facts[f"primary key of {table}"] = f"{', '.join(columns)}; named {key['name']}"
    return facts


def _options(found: dict[str, Any]) -> str:
    """Return all that the inspector reports of an index or a constraint, in a fixed order.

    Not where the referenced tables are: the models' are in another schema.
    """
    options = {**found, **found.get("dialect_options", {})}
    ignored = {"name", "dialect_options", "duplicates_constraint", "referred_schema"}
    words = {key: str(options[key]) for key in sorted(options.keys() - ignored)}
    return ", ".join(f"{key} {word}" for key, word in words.items() if word not in _NOTHING)


def _kind_of_table(connection: Connection, table: str) -> str:
    if connection.dialect.name == "postgresql":
        return "a table"
    strict = text("SELECT strict FROM pragma_table_list WHERE name = :name")
    return "STRICT" if connection.execute(strict, {"name": table}).scalar_one() else "not STRICT"


def _view(connection: Connection, view: str, schema: str | None) -> str | None:
    if connection.dialect.name == "postgresql":
        definition = text("SELECT pg_get_viewdef(to_regclass(:name))")
        view = f"{schema}.{view}" if schema else view
    else:
        definition = text("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = :name")
    return connection.execute(definition, {"name": view}).scalar()


def _expected_on_sqlite() -> Facts:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            METADATA.create_all(connection)
            return describe(connection)
    finally:
        engine.dispose()


def _expected_on_postgres(connection: Connection) -> Facts:
    """Create the models in the session's temporary schema, look, and undo it."""
    scratch = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL search_path = pg_temp"))
        METADATA.create_all(connection, checkfirst=False)
        schema = connection.execute(
            text("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
        ).scalar_one()
        return describe(connection, schema)
    finally:
        scratch.rollback()
