"""A peer that cannot be had is told of, and costs the others nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chart, engine, http, kafka_streams, report
from benchmarks.measure import Absent, Candidate, Spent, Work, absent, measure
from benchmarks.process import command_of


def _working(name: str) -> Candidate:
    async def run() -> Spent:
        return Spent(events=10, seconds=1, cpu_seconds=2)

    return Candidate(name, run)


def _failing(name: str, on_run: int) -> Candidate:
    runs = 0

    async def run() -> Spent:
        nonlocal runs
        runs += 1
        if runs == on_run:
            raise RuntimeError("no such group")
        return Spent(events=10, seconds=1, cpu_seconds=2)

    return Candidate(name, run)


async def _measured(*others: Candidate, warms_up: bool = False) -> dict[str, Any]:
    work = Work("Count", [_working("headrace"), *others], warms_up=warms_up)
    return await measure(work, 3)


@pytest.mark.parametrize("warms_up", [True, False])
async def test_an_absent_peer_is_in_the_report_with_its_reason_and_the_others_with_their_figures(
    warms_up: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the screen it is told once, not each round."""
    peer = absent("Kafka Streams", Absent("there is no JDK on the PATH"))
    found = await _measured(peer, _working("bare aiokafka"), warms_up=warms_up)

    told = report.table({"works": [found]})
    assert "| Kafka Streams | absent: there is no JDK on the PATH |  |  |" in told
    assert [line.count("|") for line in told.splitlines() if line] == [5] * 5
    assert "| bare aiokafka | 2" in told
    screen = capsys.readouterr().out
    assert screen.count("Kafka Streams is absent: there is no JDK on the PATH") == 1


async def test_a_chart_shows_those_that_were_measured() -> None:
    """The bars of the next work begin where theirs end."""
    peer = absent("Quix Streams", Absent("uv could not install it"))
    with_it, without = await _measured(peer), await _measured()

    assert chart.drawn([with_it, without]) == chart.drawn([without, without])


@pytest.mark.parametrize("on_run", [1, 3])
async def test_a_peer_that_fails_is_out_from_then_on_and_named_as_failed(
    on_run: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures of earlier rounds do not count; the screen has the whole error."""
    found = await _measured(_failing("plain Faust", on_run), _working("bare aiokafka"))

    (_, failed, other) = found["candidates"]
    assert failed == {"name": "plain Faust", "absent": "it failed (RuntimeError)", "failed": True}
    assert "figures" in other
    assert "no such group" in capsys.readouterr().err


async def test_without_headrace_there_is_nothing_to_compare() -> None:
    """Its failure is the benchmark's."""
    with pytest.raises(RuntimeError, match="no such group"):
        await measure(Work("Count", [_failing("headrace", 1), _working("other")]), 1)


def _why(prepare: Any, *arguments: Any) -> str:
    command = command_of(lambda: prepare(*arguments))
    assert isinstance(command, Absent)
    return str(command)


def _put_failing_tools(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("java", "javac", "go", "uv"):
        (folder / tool).write_text("#!/bin/sh\nexit 1\n")
        (folder / tool).chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))


def test_what_a_machine_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JDK, Go."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _why(kafka_streams.kafka_streams, tmp_path) == "there is no JDK on the PATH"
    assert _why(http.go_peer, tmp_path) == "there is no `go` on the PATH"


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Maven Central, the module proxy or PyPI."""
    _put_failing_tools(tmp_path, monkeypatch)

    def download(endpoint: str, folder: Path) -> Sequence[Path]:
        raise OSError(f"{endpoint} is not to be had")

    monkeypatch.setattr("benchmarks.kafka_streams.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("infra.broker.maven.download", download)

    assert "Maven Central did not give version" in _why(kafka_streams.kafka_streams, tmp_path)
    assert "`go build`" in _why(http.go_peer, tmp_path)
    assert _why(engine.quix_streams) == "uv could not install it"


def test_a_file_that_does_not_compile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a JDK that is too old."""
    _put_failing_tools(tmp_path, monkeypatch)
    monkeypatch.setattr("infra.broker.maven.download", lambda *_: [tmp_path / "a.jar"])
    monkeypatch.setattr("benchmarks.kafka_streams.cache_folder", lambda: tmp_path)

    assert "javac" in _why(kafka_streams.kafka_streams, tmp_path)
