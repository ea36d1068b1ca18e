"""Column types that mean the same on both engines.

| type | PostgreSQL | SQLite | in Python, through the ORM |
|---|---|---|---|
| `UuidText` | `uuid` | TEXT, lower case, as the API answers it | `str` |
| `UtcTime` | `timestamptz` | TEXT, `2026-01-31T12:00:00.000000Z` | aware `datetime` |
| `JsonText` | `json` | TEXT | what the JSON says |
| `Flag` | `boolean` | INTEGER, 0 or 1 | `bool` |
| `Amount` | `numeric(25,6)` | REAL | `Decimal` |

STRICT tables of SQLite know INTEGER, REAL, TEXT and BLOB only, hence `BigInt` too. JSON is
`json` on PostgreSQL, not `jsonb`, which refuses escaped NULs and half surrogate pairs that
JSON itself allows. The batch writer passes these types by: see `statements.py`.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import REAL, BigInteger, Boolean, DateTime, Integer, Numeric, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

BigInt = BigInteger().with_variant(Integer(), "sqlite")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)

#: The times that both engines and Python can hold: the years 1 to 9999, microseconds.
EARLIEST_MICROS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROS
LATEST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROS


def iso_utc(micros: int) -> str:
    """Return microseconds since 1970 as ISO 8601 text in UTC, which sorts as time does.

    Precondition: between `EARLIEST_MICROS` and `LATEST_MICROS`, else `OverflowError`.
    """
    # str() of seven digits without the first: two thirds of the time of a `:06d`.
    return f"{_iso_second(micros // 1_000_000)}.{str(1_000_000 + micros % 1_000_000)[1:]}Z"


def now_utc() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


@lru_cache(maxsize=8_192)
def _iso_second(second: int) -> str:
    """Return the part before the point; a stream stays in few seconds, so it is cached."""
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


class _ByEngine(TypeDecorator[Any]):
    """A type with another storage type on PostgreSQL than on SQLite."""

    impl = Text
    cache_ok = True
    on_postgres: TypeEngine[Any]
    on_sqlite: TypeEngine[Any] = Text()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the storage type on this engine."""
        return self.on_postgres if dialect.name == "postgresql" else self.on_sqlite


class UuidText(_ByEngine):
    """A UUID, in its canonical text."""

    cache_ok = True
    on_postgres = postgresql.UUID(as_uuid=False)


class UtcTime(_ByEngine):
    """A point in time, to the microsecond."""

    cache_ok = True
    on_postgres = DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what the engine stores."""
        if value is None or dialect.name == "postgresql":
            return value
        return iso_utc((value - _EPOCH) // _MICROS)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what Python sees."""
        if value is None or dialect.name == "postgresql":
            return value
        return datetime.fromisoformat(value)


class JsonText(_ByEngine):
    """A JSON value."""

    cache_ok = True
    on_postgres = postgresql.JSON(none_as_null=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the engine stores."""
        if value is None or dialect.name == "postgresql":
            return value
        return json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what Python sees."""
        if value is None or dialect.name == "postgresql":
            return value
        return json.loads(value)


class Flag(_ByEngine):
    """True or false."""

    cache_ok = True
    on_postgres = Boolean()
    on_sqlite = Integer()

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        """Return what Python sees."""
        del dialect
        return None if value is None else bool(value)


class Amount(_ByEngine):
    """An amount of money: exact on PostgreSQL, a double on SQLite, which knows no decimals."""

    cache_ok = True
    on_postgres = Numeric(25, 6)
    on_sqlite = REAL()

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return what the engine stores."""
        return value if value is None or dialect.name == "postgresql" else float(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return what Python sees."""
        del dialect
        return None if value is None else Decimal(str(value))
