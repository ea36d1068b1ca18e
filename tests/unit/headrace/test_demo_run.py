"""A demo against a server with scripted answers."""

import io
import json

import pytest
import stamina
from aiohttp import web
from rich.console import Console
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.errors import UserError
from headrace.traffic.demo.progress import DemoScreen
from headrace.traffic.demo.run import Clock, Options, demo
from headrace.traffic.demo.simulation import Simulation
from headrace.traffic.replay.report import Report
from tests.unit.headrace.fake_headrace import Answer, FakeHeadrace, accept_all, serving


class Time:
    """A fake clock that sleeping advances."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.seconds += seconds


class Played:
    """The result of a demo."""

    def __init__(self, fake: FakeHeadrace, report: Report, shown: str, time: Time) -> None:
        self.events = [json.loads(line) for lines in fake.batches for line in lines]
        self.sizes = [len(lines) for lines in fake.batches]
        self.report = report
        self.shown = shown
        self.time = time


async def _play(events: int, rate: int | None = None, answer: Answer = accept_all) -> Played:
    console, report, time = Console(file=io.StringIO(), width=200), Report(), Time()
    async with serving(answer) as fake:
        options = Options(fake.url, rate, events)
        with DemoScreen(console, time.now) as screen:
            simulation = Simulation(50, "my-shop", 3)
            await demo(options, simulation, report, screen, Clock(time.now, time.sleep))
    assert isinstance(console.file, io.StringIO)
    return Played(fake, report, console.file.getvalue(), time)


async def test_events_are_sent_in_real_time() -> None:
    """In order, when they occur, in batches of simultaneous events."""
    played = await _play(200)

    expected = Simulation(50, "my-shop", 3).events()
    happened = [next(expected) for _ in range(200)]
    assert played.events == [one.event for one in happened]
    assert played.report.accepted == 200
    assert played.time.seconds == pytest.approx(happened[-1].at)
    assert max(played.sizes) < 20
    assert "events, " in played.shown


async def test_with_a_rate_events_do_not_wait_for_their_time() -> None:
    """Each request has a fifth of a second's events."""
    played = await _play(40, rate=100)

    assert played.sizes == [20, 20]
    assert played.time.slept == []


async def test_after_an_outage_events_are_not_sent_in_a_burst() -> None:
    """The delay is kept."""
    time = Time()
    clock = Clock(time.now, time.sleep)
    await clock.wait_until(1)
    time.seconds += 60
    await clock.wait_until(2)
    await clock.wait_until(3)

    assert time.slept == [1, 1]


async def test_events_that_were_not_accepted_are_retried() -> None:
    """With the same ids, and a message."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request == 0:
            return web.json_response({"error": "Not now"}, status=503)
        return accept_all(request, lines)

    with stamina.set_testing(True, attempts=5):
        played = await _play(5, answer=answer)

    assert played.report.accepted == 5
    assert "Waiting to retry:" in played.shown
    assert "Resumed" in played.shown


def _reject_all(_: int, lines: list[bytes]) -> web.Response:
    rejected = {"status": "rejected", "code": "unknown_site", "error": "The site is not registered"}
    return web.json_response({"results": [rejected for _ in lines]}, status=400)


async def test_a_server_that_rejects_everything_ends_the_demo() -> None:
    """Otherwise it would run forever, and the dashboard would stay empty."""
    with pytest.raises(UserError, match="rejects the events of the demo: The site is not reg"):
        await _play(20, answer=_reject_all)


async def test_some_rejections_do_not_end_the_demo() -> None:
    """As of payments, if the site has a key; their number is shown."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        return _reject_all(request, lines) if request == 1 else accept_all(request, lines)

    played = await _play(200, answer=answer)

    assert played.report.sent == 200
    assert f", {played.report.rejected} rejected" in played.shown


def test_an_unreachable_server_is_named(unused_tcp_port: int) -> None:
    """With what to do."""
    address = f"http://127.0.0.1:{unused_tcp_port}"
    with stamina.set_testing(True, attempts=2):
        result = CliRunner().invoke(app, ["demo", "--to", address, "--events", "3"])

    assert isinstance(result.exception, UserError)
    assert f"No server responds at {address}" in str(result.exception)
    assert "headrace up" in str(result.exception)


@pytest.mark.parametrize("options", [["--visitors", "0"], ["--site-id", "a b"], ["--to", "x"]])
def test_invalid_options_are_rejected(options: list[str]) -> None:
    """Before anything is sent."""
    assert CliRunner().invoke(app, ["demo", *options]).exit_code == 2
