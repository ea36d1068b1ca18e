"""Import windows of a replay, against a server that supports them."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import stamina
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from headrace.errors import UserError
from headrace.traffic.replay import import_windows
from headrace.traffic.replay.progress import ReplayScreen
from headrace.traffic.replay.report import Report
from headrace.traffic.replay.run import Options, replay
from tests.fixtures.waiting import eventually_async

_TOKEN = "hr_manage"  # noqa: S105 - of the fake


class Server:
    """Accepts old events of sites with an open window, some requests after it was opened."""

    def __init__(self, requests_until_in_force: int = 2) -> None:
        self.url = ""
        self.calls: list[tuple[str, str]] = []
        self.open: dict[str, int] = {}
        self.accepted: list[str] = []
        self.is_header_sent: set[bool] = set()
        self._until = requests_until_in_force

    async def window(self, request: web.Request) -> web.Response:
        """Open or close an import window."""
        site_id = request.match_info["site_id"]
        self.calls.append((request.method, site_id))
        if request.headers["Authorization"] != f"Bearer {_TOKEN}":
            return web.json_response({"error": "This token can only read."}, status=403)
        if request.method == "DELETE":
            self.open.pop(site_id, None)
            return web.Response(status=204)
        self.open.setdefault(site_id, self._until)
        return web.json_response({})

    async def events(self, request: web.Request) -> web.Response:
        """Accept events that a window allows."""
        self.is_header_sent.add(request.headers.get("Headrace-Clamp") == "never")
        results = [self._result(json.loads(line)) for line in (await request.read()).split(b"\n")]
        self.open = {site_id: max(0, count - 1) for site_id, count in self.open.items()}
        return web.Response(body=msgspec.json.encode({"results": results}), status=207)

    def _result(self, event: dict[str, str]) -> dict[str, str]:
        if event.get("title") == "recent" or self.open.get(event["site_id"]) == 0:
            self.accepted.append(event["site_id"])
            return {"status": "accepted"}
        return {"status": "rejected", "code": "would_be_clamped", "error": "Too old."}


@asynccontextmanager
async def _serving(server: Server) -> AsyncIterator[Server]:
    app = web.Application()
    app.router.add_route("*", "/api/sites/{site_id}/import-windows/{window_id}", server.window)
    app.router.add_post("/api/events", server.events)
    async with TestServer(app) as running:
        server.url = str(running.make_url("/"))
        yield server


async def _replay(server: Server, path: Path, token: str | None = _TOKEN) -> tuple[Report, str]:
    console = Console(file=io.StringIO(), width=200)
    report = Report()
    with stamina.set_testing(True, attempts=10), ReplayScreen(console, None) as screen:
        await replay(Options([path], server.url, token=token), report, screen)
    assert isinstance(console.file, io.StringIO)
    return report, console.file.getvalue()


def _file(folder: Path, *events: dict[str, str]) -> Path:
    path = folder / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, events)))
    return path


async def test_a_window_is_opened_for_each_site_that_needs_one_and_closed(tmp_path: Path) -> None:
    """Events are retried silently until it is in force; each is accepted once."""
    path = _file(tmp_path, {"site_id": "a"}, {"site_id": "b", "title": "recent"}, {"site_id": ".."})
    async with _serving(Server()) as server:
        (report, _) = await _replay(server, path)

    assert (report.accepted, report.rejected, report.clamped) == (3, 0, {})
    assert sorted(server.accepted) == ["..", "a", "b"]
    assert {site_id for _, site_id in server.calls} == {"a", ".."}
    assert server.open == {}
    assert server.is_header_sent == {True}


async def test_without_a_token_the_server_may_clamp(tmp_path: Path) -> None:
    """The header is not sent, and no window is opened."""
    async with _serving(Server()) as server:
        await _replay(server, _file(tmp_path, {"site_id": "a", "title": "recent"}), None)

    assert (server.calls, server.is_header_sent) == ([], {False})


async def test_a_token_without_permission_is_an_error(tmp_path: Path) -> None:
    """With the server's sentence; nothing was clamped."""
    async with _serving(Server()) as server:
        with pytest.raises(UserError, match=r"403\. This token can only read"):
            await _replay(server, _file(tmp_path, {"site_id": "a"}), "hr_read")

    assert server.accepted == []


async def test_windows_are_closed_when_the_replay_is_cancelled(tmp_path: Path) -> None:
    """As by Ctrl-C."""
    async with _serving(Server(requests_until_in_force=10**9)) as server:
        task = asyncio.ensure_future(_replay(server, _file(tmp_path, {"site_id": "a"})))
        await eventually_async(
            lambda: ("PUT", "a") in server.calls, within_seconds=10, what="a window is opened"
        )
        task.cancel()
        await asyncio.wait([task])

    assert server.calls[-1] == ("DELETE", "a")


async def test_windows_are_extended_while_the_replay_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they expire."""
    monkeypatch.setattr(import_windows, "_EXTEND_SECONDS", 0.01)
    async with (
        _serving(Server()) as server,
        aiohttp.ClientSession() as session,
        import_windows.import_windows(session, server.url, _TOKEN) as opened,
    ):
        assert opened is not None
        assert await opened.open_for([b'{"site_id":"a"}'])
        assert not await opened.open_for([b'{"site_id":"a"}'])
        await eventually_async(
            lambda: server.calls.count(("PUT", "a")) >= 5, within_seconds=10, what="it is extended"
        )

    assert server.open == {}


async def test_a_server_without_import_windows_is_an_error(tmp_path: Path) -> None:
    """The role `query` may have another address."""
    async with _serving(Server()) as server:
        path = _file(tmp_path, {"site_id": "a"})
        options = Options([path], server.url, token=_TOKEN, query=f"{server.url}other")
        with (
            ReplayScreen(Console(file=io.StringIO()), None) as screen,
            pytest.raises(UserError, match="specify it with --query"),
        ):
            await replay(options, Report(), screen)
