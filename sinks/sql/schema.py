"""What a database's schema is, as facts, and how it differs from what the models make.

Alembic's own comparison is blind to conditions of indexes, CHECKs, missing primary keys and
views. Here the models are created beside the real tables (in memory, or in PostgreSQL's
temporary schema) and both are described by the same function, so both speak the engine's words.
"""

import re
from collections.abc import Iterator

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
    facts: Facts = {}
    present = inspector.get_table_names(schema) if schema is None else METADATA.tables
    for table in METADATA.tables:
        if table in present:
            facts[f"table {table}"] = _kind_of_table(connection, table)
            facts.update(_table_facts(inspector, table, schema))
    for view in VIEWS:
        if (definition := _view(connection, view, schema)) is not None:
            facts[f"view {view}"] = definition
    return facts


def _sentences(expected: Facts, found: Facts) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            if _is_of_missing_table(name, expected, found):
                continue  # the table's own sentence says it all
            yield f"missing: {name}"
        elif name not in expected:
            yield f"not in the models: {name} ({found[name]})"
        elif expected[name] != found[name]:
            yield f"differs: {name} is ({found[name]}), the models say ({expected[name]})"


def _is_of_missing_table(name: str, expected: Facts, found: Facts) -> bool:
    if name.startswith("table "):
        return False
    missing = {fact.removeprefix("table ") for fact in expected if fact.startswith("table ")}
    missing -= {fact.removeprefix("table ") for fact in found}
    return any(name.endswith(f" of {table}") for table in missing)


def _table_facts(inspector: Inspector, table: str, schema: str | None) -> Facts:
    facts: Facts = {}
    for column in inspector.get_columns(table, schema):
        kind = column["type"].compile(inspector.dialect)
        null = "" if column["nullable"] else " NOT NULL"
        default = f" DEFAULT {column['default']}" if column["default"] else ""
        facts[f"column {column['name']} of {table}"] = f"{kind}{null}{default}"
    key = inspector.get_pk_constraint(table, schema)
    if columns := key["constrained_columns"]:
        facts[f"primary key of {table}"] = f"{', '.join(columns)}; named {key['name']}"
    for index in inspector.get_indexes(table, schema):
        facts[f"index {index['name']} of {table}"] = _index(dict(index))
    for unique in inspector.get_unique_constraints(table, schema):
        facts[f"unique constraint {unique['name']} of {table}"] = ", ".join(unique["column_names"])
    for rule in inspector.get_check_constraints(table, schema):
        facts[f"check {rule['name']} of {table}"] = rule["sqltext"]
    for foreign in inspector.get_foreign_keys(table, schema):
        facts[f"foreign key {foreign['name']} of {table}"] = str(foreign["referred_table"])
    return facts


def _index(index: dict[str, object]) -> str:
    """Return all that the inspector tells of an index, in a fixed order."""
    options = index.pop("dialect_options", {})
    told = {**index, **(options if isinstance(options, dict) else {})}
    told.pop("name")
    told.pop("duplicates_constraint", None)
    words = {key: str(value) for key, value in sorted(told.items())}
    return ", ".join(f"{key} {word}" for key, word in words.items() if word not in _NOTHING)


def _kind_of_table(connection: Connection, table: str) -> str:
    if connection.dialect.name == "postgresql":
        return "a table"
    strict = connection.execute(
        text("SELECT strict FROM pragma_table_list WHERE name = :name"), {"name": table}
    ).scalar_one()
    return "STRICT" if strict else "not STRICT"


def _view(connection: Connection, view: str, schema: str | None) -> str | None:
    if connection.dialect.name == "postgresql":
        name = f"{schema}.{view}" if schema else view
        definition = connection.execute(
            text("SELECT pg_get_viewdef(to_regclass(:name))"), {"name": name}
        ).scalar()
    else:
        definition = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = :name"),
            {"name": view},
        ).scalar()
    return None if definition is None else re.sub(r"\s+", " ", definition).strip()


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
