"""Committed offsets of a group, while its coordinator loads them and afterwards."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupLoadInProgressError

from streams.engine.offsets import committed_offsets

_PLACE = TopicPartition("events-raw", 0)
_LOADING = 14


class _Admin:
    """An admin client that returns no offsets while the coordinator loads them."""

    def __init__(self, *error_codes: int) -> None:
        self._error_codes = list(error_codes)

    async def find_coordinator(self, _: str) -> int:
        return 1

    async def describe_consumer_groups(self, groups: list[str], _: int) -> list[Any]:
        return [SimpleNamespace(groups=[(self._error_codes[0], name) for name in groups])]

    async def list_consumer_group_offsets(self, _: str, __: int) -> dict[TopicPartition, Any]:
        error = self._error_codes.pop(0) if len(self._error_codes) > 1 else self._error_codes[0]
        return {} if error else {_PLACE: SimpleNamespace(offset=7)}


async def test_loaded_offsets_are_returned() -> None:
    """By partition."""
    assert await committed_offsets(_Admin(0), "group") == {_PLACE: 7}


async def test_offsets_that_are_being_loaded_are_not_missing() -> None:
    """Otherwise all records would be read again."""
    with pytest.raises(GroupLoadInProgressError):
        await committed_offsets(_Admin(_LOADING), "group")


async def test_offsets_loaded_after_the_first_request_are_returned() -> None:
    """The state of the group may have changed since the first request."""
    assert await committed_offsets(_Admin(_LOADING, 0), "group") == {_PLACE: 7}
