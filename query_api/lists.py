"""The query parameters of lists: `limit`, `cursor`, `from` and `to`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from query_api.errors import bad_parameter, truncated
from sinks.paging import Slice, in_utc, read_cursor

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

#: The token, and cache-busting parameters of jQuery and EventSource polyfills. Never use one of
#: these names for a parameter.
_IGNORED = frozenset({"access_token", "_", "_t", "_ts", "t", "ts", "r", "cb", "nocache"})


class Parameters(BaseModel):
    """Query parameters. Unknown ones are rejected, so that a misspelt filter is an error."""

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown(cls, query: Mapping[str, Any]) -> dict[str, Any]:
        names = [field.alias or name for name, field in cls.model_fields.items()]
        for name in query.keys() - _IGNORED - set(names):
            raise bad_parameter(
                name[:100], f"Unknown parameter; known: {', '.join(sorted(names)) or 'none'}"
            )
        return {name: query[name] for name in names if name in query}


def _limit(text: Any) -> int:
    text = str(text)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise bad_parameter("limit", f"limit must be a number from 1 to {MAX_LIMIT:,}")
    return int(text[:9])


def _time(name: str, text: Any) -> datetime:
    try:
        # The + of a UTC offset becomes a space if it is not percent-encoded.
        (date, rest) = (text[:11], text[11:])
        return in_utc(datetime.fromisoformat(date + rest.replace(" ", "+")))
    except ValueError:
        raise bad_parameter(
            name, f"{name} must be an ISO 8601 date and time, such as 2026-01-31T12:00:00Z"
        ) from None
    except OverflowError:
        raise bad_parameter(name, f"{name} must be in the years 1 to 9999 in UTC") from None


def one_of(name: str, values: Sequence[str]) -> Any:
    """Return the type annotation of a filter that accepts only these values."""

    def check(value: Any) -> Any:
        if value not in values:
            raise bad_parameter(
                name, f"{name} must be one of: {', '.join(values)}; it is {truncated(value)!r}"
            )
        return value

    return Annotated[str, BeforeValidator(check), WithJsonSchema({"enum": list(values)})]


_Limit = Annotated[int, BeforeValidator(_limit), Field(ge=1, le=MAX_LIMIT)]
_From = Annotated[datetime, BeforeValidator(partial(_time, "from"))]
_To = Annotated[datetime, BeforeValidator(partial(_time, "to"))]


class NameListParameters(Parameters):
    """The parameters of a list of names."""

    cursor: str | None = Field(default=None, description="The next_cursor of the previous page.")
    limit: _Limit = Field(default=DEFAULT_LIMIT, description="Maximum number of items per page.")


class ListParameters(NameListParameters):
    """The parameters of lists with a time range."""

    since: _From | None = Field(default=None, alias="from", description="Start time, inclusive.")
    until: _To | None = Field(default=None, alias="to", description="End time, exclusive.")


ListQuery = Annotated[ListParameters, Query()]


def slice_of(query: ListParameters, key: Sequence[type]) -> Slice:
    """Return the requested slice of a list, whose sort key has the types `key`."""
    after = None if query.cursor is None else parse_cursor(query.cursor, key)
    return Slice(query.limit, after, query.since, query.until)


def parse_cursor(cursor: str, key: Sequence[type]) -> tuple[Any, ...]:
    """Return the sort key in a cursor. Raise `ApiError` if it does not have the types `key`."""
    try:
        return read_cursor(cursor, key)
    except ValueError as error:
        raise bad_parameter("cursor", str(error)) from None
