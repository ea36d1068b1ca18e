"""A whole replay against a server with scripted answers."""

import io
from pathlib import Path

import pytest
import stamina
from aiohttp import web
from rich.console import Console

from headrace.errors import UserError
from headrace.traffic.replay.progress import ReplayScreen
from headrace.traffic.replay.report import Report
from headrace.traffic.replay.run import Options, RateLimiter, replay
from headrace.traffic.replay.sender import Result
from tests.unit.headrace.fake_headrace import Answer, accept_all, results, serving


class Clock:
    """A fake clock that sleeping advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


async def _replay(answer: Answer, path: Path) -> tuple[Report, str]:
    """Run a replay; return the report, and the output of the screen."""
    console = Console(file=io.StringIO(), width=200)
    report = Report()
    async with serving(answer) as fake:
        with ReplayScreen(console, None) as screen:
            await replay(Options([path], fake.url), report, screen)
    assert isinstance(console.file, io.StringIO)
    return report, console.file.getvalue()


def _file(folder: Path, events: int) -> Path:
    path = folder / "x.jsonl"
    path.write_bytes(b'{"a":1}\n' * events)
    return path


async def test_all_events_are_sent_in_order_and_each_with_an_id(tmp_path: Path) -> None:
    """In batches of a thousand."""
    sizes = []

    def answer(request: int, lines: list[bytes]) -> web.Response:
        sizes.append(len(lines))
        assert all(b'"event_id"' in line for line in lines)
        assert len(set(lines)) == len(lines)
        return accept_all(request, lines)

    (report, shown) = await _replay(answer, _file(tmp_path, 2_500))

    assert sizes == [1_000, 1_000, 500]
    assert (report.accepted, report.rejections, shown) == (2_500, {}, "")


async def test_a_wait_is_reported_once_with_its_reason(tmp_path: Path) -> None:
    """And so is its end."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request < 3:
            return web.json_response({"error": "Full\x1b[31m [red]"}, status=503)
        return accept_all(request, lines)

    with stamina.set_testing(True, attempts=10):
        (_, shown) = await _replay(answer, _file(tmp_path, 1))

    assert shown.count("Waiting to retry") == 1
    assert "returned 503: Full\\x1b[31m [red]" in shown
    assert shown.endswith("Resumed\n")


async def test_a_timeout_reports_the_location(tmp_path: Path) -> None:
    """By file and line."""
    path = _file(tmp_path, 1_003)

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request == 0:
            return accept_all(request, lines)
        return (
            results("accepted", *["failed"] * (len(lines) - 1))
            if len(lines) == 3
            else results(*["failed"] * len(lines), status=500)
        )

    with stamina.set_testing(True, attempts=2), pytest.raises(UserError) as raised:
        await _replay(answer, path)

    assert f"Stopped at {path}, line 1,002: failed!" in str(raised.value)
    assert "Run the same command again" in str(raised.value)


def test_rejections_are_counted_by_code_with_the_first_example() -> None:
    """The most frequent code comes first in the table."""
    clock = Clock()
    report = Report(clock.now)
    report.count("x, line 1", Result("accepted"))
    report.count("x, line 2", Result("rejected", "rare", "Rare\x1b"))
    report.count("x, line 3", Result("rejected", "often", "First"))
    report.count("x, line 4", Result("rejected", "often", "Second"))
    clock.seconds = 2.0
    console = Console(file=io.StringIO(), width=120)
    console.print(report.table())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()[3:]

    assert [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line] == [
        ["1", "accepted", "", ""],
        ["2", "refused: often", "x, line 3", "First"],
        ["1", "refused: rare", "x, line 2", "Rare\\x1b"],
        ["4", "in 2.0 seconds", "", ""],
        ["2", "per second", "", ""],
    ]


@pytest.mark.parametrize(("rate", "limit"), [(1, 1), (50, 10), (100_000, 1_000), (None, 1_000)])
def test_batches_are_smaller_at_a_low_rate(rate: int | None, limit: int) -> None:
    """So that events are sent evenly."""
    assert RateLimiter(rate).batch_size == limit


async def test_the_rate_is_limited_and_lost_time_is_not_made_up_for() -> None:
    """After a wait for the server, there is no burst."""
    clock = Clock()
    limiter = RateLimiter(100, clock.now, clock.sleep)
    sent_at = []
    for _ in range(3):
        await limiter.wait(20)
        sent_at.append(round(clock.seconds, 3))
    clock.seconds += 60
    for _ in range(2):
        await limiter.wait(20)
        sent_at.append(round(clock.seconds, 3))

    assert sent_at == [0, 0.2, 0.4, 60.4, 60.6]


async def test_without_a_rate_nothing_waits() -> None:
    """Events are sent as fast as possible."""
    clock = Clock()
    limiter = RateLimiter(None, clock.now, clock.sleep)
    await limiter.wait(1_000)
    await limiter.wait(1_000)

    assert clock.seconds == 0


def test_without_a_terminal_progress_is_printed_as_regular_lines() -> None:
    """A progress bar would fill a log."""
    clock = Clock()
    console = Console(file=io.StringIO(), width=200)
    report = Report(clock.now)
    with ReplayScreen(console, 100, clock.now) as screen:
        for line in range(1, 5):
            clock.seconds += 6
            report.count(f"x, line {line}", Result("accepted"))
            screen.show(report, line)

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "2 events, 0/s, x, line 2\n4 events, 0/s, x, line 4\n"


def test_on_a_terminal_there_is_a_progress_bar() -> None:
    """With bytes, events and rate."""
    clock = Clock()
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    report = Report(clock.now)
    with ReplayScreen(console, 100, clock.now) as screen:
        clock.seconds += 1
        report.count("x, line 1", Result("accepted"))
        screen.show(report, 50)

    assert isinstance(console.file, io.StringIO)
    assert "50/100 bytes" in console.file.getvalue()
    assert "1 event, 1/s" in console.file.getvalue()
