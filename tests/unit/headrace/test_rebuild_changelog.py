"""Reading a table's changelog, and writing states that are newer than all others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.ops.rebuild import changelog as module
from headrace.ops.rebuild.changelog import Changelog, Put, StateRef
from headrace.ops.rebuild.plan import describe_page
from schemas.codec import encode
from schemas.kafka_settings import KafkaSettings
from schemas.records import PageDuration
from schemas.topics import PAGE_DURATIONS
from streams.domain.durations import rules
from streams.domain.durations.rules import Leave, Page
from streams.engine.changelog_headers import version_header, version_of
from tests.component.streams.bench import InRecord, NotingProducer
from tests.unit.streams.samples import NOON, source


def _state(path: str, leaves: int) -> PageDuration:
    made = [Leave(5, source(offset)) for offset in range(leaves)]
    state = None
    for leave in made:
        state = rules.add(state, Page("shop", NOON, path), [leave])
    assert state is not None
    return state


def _record(path: str, leaves: int | None, version: int) -> InRecord:
    value = None if leaves is None else encode(_state(path, leaves))
    return InRecord(0, path.encode(), value, version_header(version))


@pytest.fixture
async def changelog(monkeypatch: pytest.MonkeyPatch) -> Changelog:
    """Return a changelog that was read, with a late write of a previous worker."""
    records = [
        _record("/a", 3, 20),
        _record("/a", 2, 10),  # of a worker that had lost its partition
        _record("/b", 1, 11),
        _record("/b", None, 30),
        InRecord(0, b"/c", b"nonsense", version_header(4)),
    ]

    class FakeLogTail:
        def __init__(self, *_: Any) -> None:
            pass

        async def catch_up(self, partition: int) -> AsyncIterator[list[InRecord]]:
            yield records if partition == 1 else []

    monkeypatch.setattr(module, "LogTail", FakeLogTail)
    read = Changelog(PAGE_DURATIONS)
    await read.read(KafkaSettings(), [0, 1], PageDuration, describe_page)
    return read


async def test_the_highest_version_wins(changelog: Changelog) -> None:
    """Not the last record; deleted keys are absent, and undecodable states have no site."""
    assert changelog.pop(("shop", NOON)) == [StateRef(1, b"/a", 3)]
    assert changelog.pop(("shop", NOON)) == []
    assert dict(changelog.remaining()) == {(): [StateRef(1, b"/c", 0)]}


async def test_writes_have_the_highest_version_of_their_partition(changelog: Changelog) -> None:
    """A worker restores them, and its next writes are not older."""
    producer: Any = NotingProducer()

    await changelog.put(producer, [Put(1, b"/a", b"new"), Put(1, b"/b", None), Put(0, b"x", b"y")])

    sent = producer.sent["page-durations", 1]
    assert [(out.key, out.value, version_of(out)) for out in sent] == [
        (b"/a", b"new", 30),
        (b"/b", None, 30),
    ]
    assert [version_of(out) for out in producer.sent["page-durations", 0]] == [-1]
