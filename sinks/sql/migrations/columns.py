"""Column and table constructors of the first revisions."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine


def required(kind: TypeEngine[Any], *names: str) -> Iterator[sa.Column[Any]]:
    """Yield NOT NULL columns of one type."""
    for name in names:
        yield sa.Column(name, kind, nullable=False)


def optional(kind: TypeEngine[Any], *names: str) -> Iterator[sa.Column[Any]]:
    """Yield nullable columns of one type."""
    for name in names:
        yield sa.Column(name, kind)


def create_table(name: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    """Create a table with a primary key."""
    primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{name}")
    op.create_table(name, *columns, primary, sqlite_strict=True)
