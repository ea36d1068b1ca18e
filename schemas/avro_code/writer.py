"""What encoders and decoders are written with."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from schemas.avro_code import values

Schema = Any


class Writer:
    """Knows the schemas that have names, and gives names to variables."""

    def __init__(self) -> None:
        #: What the code refers to, beside `values`.
        self.names: dict[str, Any] = {}
        self._schemas: dict[str, Schema] = {}
        self._numbers = count()

    def kind_of(self, schema: Schema) -> tuple[str, Schema]:
        """Return what a schema is, and the schema itself where it was a name."""
        if isinstance(schema, list):
            return "union", _nullable(schema)
        if isinstance(schema, str):
            schema = self._schemas.get(schema, {"type": schema})
        if "name" in schema:
            self._schemas[schema["name"]] = schema
        return "decimal" if schema.get("logicalType") == "decimal" else schema["type"], schema

    def new(self, begin: str) -> str:
        """Return the name of a new variable."""
        return f"{begin}{next(self._numbers)}"


def _nullable(union: list[Schema]) -> Schema:
    """Return what a union is besides null; only such unions are written here."""
    null, other = union
    if null != "null":
        raise ValueError(f"{union} is not a union of null and one other")
    return other


def compiled(function: str, lines: Iterable[str], writer: Writer) -> Any:
    """Compile lines that define a function, and return it."""
    scope = {**vars(values), **writer.names}
    exec("\n".join(lines), scope)  # noqa: S102 - of nothing but our own schemas
    return scope[function]


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Return lines that belong under another."""
    return (f"    {line}" for line in lines)
