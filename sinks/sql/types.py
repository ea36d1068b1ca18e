"""Column types with the same semantics on both engines.

| type | PostgreSQL | SQLite | in Python, through the ORM |
|---|---|---|---|
| `Text` | `text COLLATE "C"` | TEXT | `str` |
| `UuidText` | `uuid` | TEXT, canonical, lower case | `str` |
| `UtcTime` | `timestamptz` | TEXT, `2026-01-31T12:00:00.000000Z` | aware `datetime` |
| `JsonText` | `json` | TEXT | the decoded value |
| `Flag` | `boolean` | INTEGER, 0 or 1 | `bool` |
| `Amount` | `numeric(25,6)` | TEXT, always with six decimals: `49.900000` | `Decimal` |

SQLite's STRICT tables have only INTEGER, REAL, TEXT and BLOB, hence `BigInt`. JSON is `json` on
PostgreSQL, because `jsonb` rejects escaped NULs and lone surrogates, which JSON allows. The batch
writer bypasses these types: see `sinks.sql.statements`.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, Numeric
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from sinks.sql.conversion import iso_utc

BigInt = BigInteger().with_variant(Integer(), "sqlite")
#: Text that is sorted by code points, as in Python and SQLite, independent of the collation of the
#: PostgreSQL database (ADR 40).
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)

_PG_EPOCH_MICROS = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROS

_MILLIONTH = Decimal("0.000001")
#: Digits before the decimal point.
_AMOUNT_DIGITS = 19
_AMOUNT_LIMIT = Decimal(10**_AMOUNT_DIGITS)
#: Precise enough that only decimals after the sixth are rounded.
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_UP)

#: The range of times that both engines and Python support: the years 1 to 9999.
EARLIEST_MICROS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROS
LATEST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROS


def fits_time(at: int) -> bool:
    """Return True if both engines and Python support a time (µs since 1970)."""
    return EARLIEST_MICROS <= at <= LATEST_MICROS


def micros(time: datetime) -> int:
    """Convert a time to microseconds since 1970."""
    return (time - _EPOCH) // _MICROS


def from_micros(at: int) -> datetime:
    """Convert microseconds since 1970 to a time, clamped to the years 1 to 9999."""
    return _EPOCH + min(max(at, EARLIEST_MICROS), LATEST_MICROS) * _MICROS


def to_pg_time(time: datetime) -> tuple[int]:
    """Convert a time to PostgreSQL's binary format: microseconds since 2000."""
    return (micros(time) - _PG_EPOCH_MICROS,)


def from_pg_time(stored: tuple[int]) -> datetime:
    """Convert PostgreSQL's microseconds since 2000 to a time, clamped to the years 1 to 9999."""
    return from_micros(stored[0] + _PG_EPOCH_MICROS)


def amount_text(amount: Decimal) -> str:
    """Format an amount like `numeric(25,6)`: six decimals, rounded half away from zero.

    The amount must satisfy `fits_amount`.
    """
    rounded = _CONTEXT.quantize(amount, _MILLIONTH)
    return f"{rounded:f}" if rounded else "0.000000"  # never "-0.000000"


def fits_amount(amount: Decimal) -> bool:
    """Return True if an amount fits into `numeric(25,6)`."""
    if not amount.is_finite() or (amount and amount.adjusted() >= _AMOUNT_DIGITS):
        return False
    return _CONTEXT.quantize(amount, _MILLIONTH).copy_abs() < _AMOUNT_LIMIT


def now_utc() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


class _ByEngine(TypeDecorator[Any]):
    """A column type with different storage types on PostgreSQL and SQLite."""

    impl = sa.Text
    cache_ok = True
    on_postgres: TypeEngine[Any]
    on_sqlite: TypeEngine[Any] = sa.Text()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the storage type of the engine."""
        return self.on_postgres if dialect.name == "postgresql" else self.on_sqlite

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Convert a Python value to the stored value."""
        is_native = value is None or dialect.name == "postgresql"
        return value if is_native else self._to_sqlite(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Convert a stored value to the Python value."""
        is_native = value is None or dialect.name == "postgresql"
        return value if is_native else self._from_sqlite(value)

    def _to_sqlite(self, value: Any) -> Any:
        return value

    def _from_sqlite(self, value: Any) -> Any:
        return value


class UuidText(_ByEngine):
    """A UUID as canonical text."""

    cache_ok = True
    on_postgres = postgresql.UUID(as_uuid=False)


class UtcTime(_ByEngine):
    """A point in time with microsecond precision."""

    cache_ok = True
    on_postgres = DateTime(timezone=True)

    def _to_sqlite(self, value: datetime) -> str:
        return iso_utc(micros(value))

    def _from_sqlite(self, value: str) -> datetime:
        return datetime.fromisoformat(value)


class JsonText(_ByEngine):
    """A JSON value."""

    cache_ok = True
    on_postgres = postgresql.JSON(none_as_null=True)

    def _to_sqlite(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def _from_sqlite(self, value: str) -> Any:
        return json.loads(value)


class Flag(_ByEngine):
    """A boolean."""

    cache_ok = True
    on_postgres = Boolean()
    on_sqlite = Integer()

    def _from_sqlite(self, value: int) -> bool:
        return bool(value)


class Amount(_ByEngine):
    """An exact amount of money; text on SQLite, which has no decimal type."""

    cache_ok = True
    on_postgres = Numeric(25, 6)

    def _to_sqlite(self, value: Decimal) -> str:
        return amount_text(value)

    def _from_sqlite(self, value: str) -> Decimal:
        return Decimal(value)
