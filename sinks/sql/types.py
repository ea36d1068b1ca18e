"""Column types that mean the same on both engines.

| type | PostgreSQL | SQLite | in Python, through the ORM |
|---|---|---|---|
| `Text` | `text COLLATE "C"` | TEXT | `str` |
| `UuidText` | `uuid` | TEXT, lower case, as the API answers it | `str` |
| `UtcTime` | `timestamptz` | TEXT, `2026-01-31T12:00:00.000000Z` | aware `datetime` |
| `JsonText` | `json` | TEXT | what the JSON says |
| `Flag` | `boolean` | INTEGER, 0 or 1 | `bool` |
| `Amount` | `numeric(25,6)` | TEXT, always with six decimals: `49.900000` | `Decimal` |

STRICT tables of SQLite know INTEGER, REAL, TEXT and BLOB only, hence `BigInt` too. JSON is
`json` on PostgreSQL, not `jsonb`, which refuses escaped NULs and half surrogate pairs that
JSON itself allows. The batch writer passes these types by: see `statements.py`.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, Numeric
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

BigInt = BigInteger().with_variant(Integer(), "sqlite")
#: Text in the order of its code points, which is Python's and SQLite's, whatever collation the
#: PostgreSQL database has (ADR 40).
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)

_PG_EPOCH_MICROS = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROS

_MILLIONTH = Decimal("0.000001")
#: Digits before the point.
_AMOUNT_DIGITS = 19
_AMOUNT_LIMIT = Decimal(10**_AMOUNT_DIGITS)
#: More digits than an amount has, so that nothing but the seventh decimal is rounded.
_WIDE = Context(prec=60, rounding=ROUND_HALF_UP)

#: The times that both engines and Python can hold: the years 1 to 9999, microseconds.
EARLIEST_MICROS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROS
LATEST_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROS


def iso_utc(at: int) -> str:
    """Return microseconds since 1970 as ISO 8601 text in UTC, which sorts as time does.

    Precondition: between `EARLIEST_MICROS` and `LATEST_MICROS`, else `OverflowError`.
    """
    # str() of seven digits without the first: two thirds of the time of a `:06d`.
    return f"{_iso_second(at // 1_000_000)}.{str(1_000_000 + at % 1_000_000)[1:]}Z"


def micros(time: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (time - _EPOCH) // _MICROS


def moment(at: int) -> datetime:
    """Return microseconds since 1970 as a time: the nearest in the years 1 to 9999."""
    return _EPOCH + min(max(at, EARLIEST_MICROS), LATEST_MICROS) * _MICROS


def to_pg_time(time: datetime) -> tuple[int]:
    """Return a time as PostgreSQL has it: microseconds since 2000."""
    return (micros(time) - _PG_EPOCH_MICROS,)


def from_pg_time(stored: tuple[int]) -> datetime:
    """Return a time as Python has it: the nearest in the years 1 to 9999."""
    return moment(stored[0] + _PG_EPOCH_MICROS)


def amount_text(amount: Decimal) -> str:
    """Return an amount as `numeric(25,6)` prints it: six decimals, halves away from zero.

    Precondition: `is_amount`.
    """
    rounded = _WIDE.quantize(amount, _MILLIONTH)
    return f"{rounded:f}" if rounded else "0.000000"  # never "-0.000000"


def is_amount(amount: Decimal) -> bool:
    """Return whether an amount fits into `numeric(25,6)`."""
    if not amount.is_finite() or (amount and amount.adjusted() >= _AMOUNT_DIGITS):
        return False
    return _WIDE.quantize(amount, _MILLIONTH).copy_abs() < _AMOUNT_LIMIT


def now_utc() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


@lru_cache(maxsize=8_192)
def _iso_second(second: int) -> str:
    """Return the part before the point; a stream stays in few seconds, so it is cached."""
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


class _ByEngine(TypeDecorator[Any]):
    """A type with another storage type on PostgreSQL than on SQLite."""

    impl = sa.Text
    cache_ok = True
    on_postgres: TypeEngine[Any]
    on_sqlite: TypeEngine[Any] = sa.Text()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the storage type on this engine."""
        return self.on_postgres if dialect.name == "postgresql" else self.on_sqlite

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the engine stores."""
        is_stored = value is None or dialect.name == "postgresql"
        return value if is_stored else self._to_sqlite(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what Python sees."""
        is_read = value is None or dialect.name == "postgresql"
        return value if is_read else self._from_sqlite(value)

    def _to_sqlite(self, value: Any) -> Any:
        return value

    def _from_sqlite(self, value: Any) -> Any:
        return value


class UuidText(_ByEngine):
    """A UUID, in its canonical text."""

    cache_ok = True
    on_postgres = postgresql.UUID(as_uuid=False)


class UtcTime(_ByEngine):
    """A point in time, to the microsecond."""

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
    """True or false."""

    cache_ok = True
    on_postgres = Boolean()
    on_sqlite = Integer()

    def _from_sqlite(self, value: int) -> bool:
        return bool(value)


class Amount(_ByEngine):
    """An amount of money, exact on both engines: SQLite has no decimals, so there it is text."""

    cache_ok = True
    on_postgres = Numeric(25, 6)

    def _to_sqlite(self, value: Decimal) -> str:
        return amount_text(value)

    def _from_sqlite(self, value: str) -> Decimal:
        return Decimal(value)
