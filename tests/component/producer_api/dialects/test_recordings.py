"""Recorded sessions of real clients mean what these did."""

from pathlib import Path

import pytest

from producer_api.events.dialects.registry import DIALECTS
from tests.component.producer_api.dialects.recordings import (
    FOLDER,
    Replay,
    expected,
    label,
    recordings,
    summary,
)

_OK = 400

every_session = pytest.mark.parametrize("file", recordings(), ids=label)


def test_every_dialect_has_a_recorded_session() -> None:
    """In a folder of its name."""
    assert {file.parent.name for file in recordings()} == {dialect.name for dialect in DIALECTS}
    assert {folder.name for folder in FOLDER.iterdir()} == {dialect.name for dialect in DIALECTS}


@every_session
async def test_a_session_means_what_its_client_did(file: Path) -> None:
    """Every request is accepted; its events have these types, pages, amounts, ids and times."""
    replay = Replay()

    responses = await replay.send(file)

    assert [one.text for one in responses if one.status_code >= _OK] == []
    assert summary(responses, replay.events()) == expected(file)


@every_session
async def test_an_event_with_an_id_counts_once(file: Path) -> None:
    """A session that is sent twice adds no event that has an id of its client."""
    replay = Replay()
    await replay.send(file)
    before = len(replay.events())

    await replay.send(file)

    with_client_id = {event.event_id for event in replay.events_with_client_id()}
    without = before - len(with_client_id)
    assert len(replay.events()) == before + without


@every_session
async def test_a_disabled_dialect_says_how_to_enable_it(file: Path) -> None:
    """Also to a page of another origin, which may read the response."""
    replay = Replay(dialects=("none",))

    responses = await replay.send(file)

    rejected = [one for one in responses if one.request.method not in ("OPTIONS", "HEAD")]
    assert {one.status_code for one in rejected} == {403}
    for one in rejected:
        assert f"add {file.parent.name} to HEADRACE_API__DIALECTS" in one.json()["error"]
        origin = one.request.headers.get("origin")
        assert one.headers.get("access-control-allow-origin") == origin
    assert replay.events() == []
