"""The query parameters of lists: `limit`, `cursor`, `from`, `to`. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from sinks.paging import Slice, in_utc, read_cursor
from sinks.query.errors import bad_parameter, shown

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

#: The token, and what clients add against caches: jQuery and EventSource polyfills do. No
#: parameter of ours will ever have one of these names.
_IGNORED = frozenset({"access_token", "_", "_t", "_ts", "t", "ts", "r", "cb", "nocache"})


class Parameters(BaseModel):
    """Query parameters. One that is unknown is an error: a misspelt filter would not filter."""

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown(cls, query: Mapping[str, Any]) -> dict[str, Any]:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in query.keys() - _IGNORED - set(known):
            raise bad_parameter(
                name[:100], f"Unknown parameter; known are {', '.join(sorted(known)) or 'none'}"
            )
        return {name: query[name] for name in known if name in query}


def _limit(text: Any) -> int:
    text = str(text)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise bad_parameter("limit", f"limit must be a number from 1 to {MAX_LIMIT:,}")
    return int(text[:9])


def _time(name: str, text: Any) -> datetime:
    try:
        # The plus of an offset that was not escaped arrives as a space.
        (date, rest) = (text[:11], text[11:])
        return in_utc(datetime.fromisoformat(date + rest.replace(" ", "+")))
    except ValueError:
        raise bad_parameter(
            name, f"{name} must be an ISO 8601 date and time, such as 2026-01-31T12:00:00Z"
        ) from None
    except OverflowError:
        raise bad_parameter(name, f"{name} must be in the years 1 to 9999 in UTC") from None


def one_of(name: str, known: Sequence[str]) -> Any:
    """Return the annotation of a filter whose values are known: any other would find nothing."""

    def check(value: Any) -> Any:
        if value not in known:
            raise bad_parameter(
                name, f"{name} must be one of: {', '.join(known)}; it is {shown(value)!r}"
            )
        return value

    return Annotated[str, BeforeValidator(check), WithJsonSchema({"enum": list(known)})]


_Limit = Annotated[int, BeforeValidator(_limit), Field(ge=1, le=MAX_LIMIT)]
_From = Annotated[datetime, BeforeValidator(partial(_time, "from"))]
_To = Annotated[datetime, BeforeValidator(partial(_time, "to"))]


class NameListParameters(Parameters):
    """The parameters of a list of names."""

    cursor: str | None = Field(default=None, description="The next_cursor of the page before.")
    limit: _Limit = Field(default=DEFAULT_LIMIT, description="Rows of a page.")


class ListParameters(NameListParameters):
    """The parameters of every other list."""

    since: _From | None = Field(default=None, alias="from", description="From this time, included.")
    until: _To | None = Field(
        default=None, alias="to", description="Up to this time, not included."
    )


ListQuery = Annotated[ListParameters, Query()]


def slice_of(query: ListParameters, key: Sequence[type]) -> Slice:
    """Return the part that is requested of a list whose key has these types."""
    after = None if query.cursor is None else after_cursor(query.cursor, key)
    return Slice(query.limit, after, query.since, query.until)


def after_cursor(cursor: str, key: Sequence[type]) -> tuple[Any, ...]:
    """Return the key of a cursor; an error unless it has these types."""
    try:
        return read_cursor(cursor, key)
    except ValueError as error:
        raise bad_parameter("cursor", str(error)) from None
