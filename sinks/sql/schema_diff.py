"""Compare the schema of a database with the models.

Alembic's comparison ignores index conditions, CHECKs, missing primary keys and views. Here the
models are created in a scratch schema (in memory, or PostgreSQL's temporary schema), and the same
function describes both schemas, as the engine reports them.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Inspector, StaticPool, create_engine, inspect, text

from sinks.sql.tables import METADATA, VIEWS

#: The definitions of schema objects by name, such as `column path of events`.
Facts = dict[str, str]

#: The inspector's values for options that are not set.
_UNSET = {"", "None", "False", "0", "[]", "{}"}


def differences(connection: Connection) -> list[str]:
    """Return a sentence for each difference; changes nothing in the database."""
    found = describe(connection)
    if connection.dialect.name == "postgresql":
        expected = _expected_on_postgres(connection)
    else:
        expected = _expected_on_sqlite()
    return list(_sentences(expected, found))


def describe(connection: Connection, schema: str | None = None) -> Facts:
    """Return the definitions of headrace's tables, their columns and constraints, and views."""
    inspector = inspect(connection)
    tables = set(METADATA.tables)
    facts: Facts = {}
    for table in tables if schema else tables & set(inspector.get_table_names()):
        facts[f"table {table}"] = _kind_of_table(connection, table)
        facts |= _columns(inspector, table, schema)
        for kind, objects in (
            ("index", inspector.get_indexes(table, schema)),
            ("unique constraint", inspector.get_unique_constraints(table, schema)),
            ("check", inspector.get_check_constraints(table, schema)),
            ("foreign key", inspector.get_foreign_keys(table, schema)),
        ):
            facts |= {f"{kind} {item['name']} of {table}": _options(dict(item)) for item in objects}
    for view in VIEWS:
        if (definition := _view(connection, view, schema)) is not None:
            facts[f"view {view}"] = re.sub(r"\s+", " ", definition).strip()
    return facts


def _sentences(expected: Facts, found: Facts) -> Iterator[str]:
    # The columns and indexes of a missing table are not reported.
    missing = [name for name in expected.keys() - found.keys() if name.startswith("table ")]
    of_missing_table = tuple(f" of {name.removeprefix('table ')}" for name in missing)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            if not name.endswith(of_missing_table):
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


def _options(reflected: dict[str, Any]) -> str:
    """Return the options of an index or a constraint, in a fixed order.

    Leave out the schema of referenced tables, which differs for the models.
    """
    options = {**reflected, **reflected.get("dialect_options", {})}
    ignored = {"name", "dialect_options", "duplicates_constraint", "referred_schema"}
    values = {key: str(options[key]) for key in sorted(options.keys() - ignored)}
    return ", ".join(f"{key} {value}" for key, value in values.items() if value not in _UNSET)


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
    """Describe the models after creating them in the session's temporary schema; roll back."""
    savepoint = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL search_path = pg_temp"))
        METADATA.create_all(connection, checkfirst=False)
        schema = connection.execute(
            text("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
        ).scalar_one()
        return describe(connection, schema)
    finally:
        savepoint.rollback()
