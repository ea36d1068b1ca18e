"""A rebuild needs the topics that it writes to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.errors import UserError
from headrace.ops.audit.scope import Scope
from headrace.ops.rebuild import run
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import VISITS, Topic
from sinks.sql.sqlite import create_file


class _Cluster:
    """A cluster of an earlier version, without the topic `visits`; it has no other methods."""

    async def partitions(self, topic: Topic) -> list[int]:
        """Return the partitions of a topic."""
        if topic is VISITS:
            raise UserError("There is no topic visits")
        return [0]


async def test_a_missing_topic_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer would wait for it for ever."""

    @asynccontextmanager
    async def open_cluster(*_: object) -> AsyncIterator[_Cluster]:
        yield _Cluster()

    monkeypatch.setattr(run, "open_cluster", open_cluster)
    create_file(tmp_path / "headrace.db")
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{tmp_path}/headrace.db"))

    with pytest.raises(UserError, match="There is no topic visits"):
        await run.rebuild(settings, run.sessions_of(settings), Scope(), lambda _: None)
