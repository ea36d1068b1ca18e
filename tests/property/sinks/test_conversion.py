"""Checks and conversions of rows: the compiled module and its source have the same results."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.sql import conversion
from sinks.sql.statements import Row, columns_of
from sinks.sql.tables import EventRow, table_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS, Amount, Flag, UtcTime
from tests.fixtures.interpreted import interpreted

EVENTS = table_of(EventRow)
#: A little more than what can be stored.
VALUES: dict[type[Any], st.SearchStrategy[Any]] = {
    UtcTime: st.integers(EARLIEST_MICROS - 1, LATEST_MICROS + 1),
    Flag: st.booleans(),
    Amount: st.decimals() | st.decimals(-(10**19), 10**19, places=7),
}
ANY_VALUE = st.integers() | st.text(max_size=3) | st.sampled_from(["\0", "a\0", ""])
ROWS = st.lists(
    st.tuples(*(st.none() | VALUES.get(type(one.type), ANY_VALUE) for one in EVENTS.columns)),
    max_size=3,
)


INTERPRETED = interpreted(conversion)


@given(ROWS)
def test_the_compiled_module_is_the_same(rows: list[Row]) -> None:
    """For rows with any values; rows that can be stored are converted."""
    columns = columns_of(EVENTS)
    are_storable = conversion.are_storable(rows, columns.texts, columns.checks)

    assert are_storable == INTERPRETED.are_storable(rows, columns.texts, columns.checks)
    if are_storable:
        assert repr(conversion.convert(rows, columns.conversions)) == repr(
            INTERPRETED.convert(rows, columns.conversions)
        )


@pytest.mark.parametrize("module", [conversion, INTERPRETED], ids=["installed", "interpreted"])
def test_each_column_is_checked_alone(module: Any) -> None:
    """The others of the row are null; the first row can be stored."""
    columns = columns_of(EVENTS)
    empty = (None,) * len(EVENTS.columns)
    wrong = dict.fromkeys(columns.texts, "a\x00b") | {
        index: Decimal("NaN") if isinstance(list(EVENTS.columns)[index].type, Amount) else 10**18
        for index, _ in columns.checks
    }
    for index, value in wrong.items():
        row = (*empty[:index], value, *empty[index + 1 :])
        assert not module.are_storable([empty, row], columns.texts, columns.checks)
    assert module.are_storable([empty], columns.texts, columns.checks)
