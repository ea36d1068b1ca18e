"""Unavailable and failing peers are reported, and the others are measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chart, engine, http, kafka_streams, report
from benchmarks.measure import (
    Candidate,
    Measurement,
    PeerUnavailable,
    Workload,
    measure,
    unavailable,
)
from benchmarks.process import prepared_command


def _working(name: str) -> Candidate:
    async def run() -> Measurement:
        return Measurement(events=10, seconds=1, cpu_seconds=2)

    return Candidate(name, run)


def _failing(name: str, on_run: int) -> Candidate:
    runs = 0

    async def run() -> Measurement:
        nonlocal runs
        runs += 1
        if runs == on_run:
            raise RuntimeError("no such group")
        return Measurement(events=10, seconds=1, cpu_seconds=2)

    return Candidate(name, run)


async def _measured(*others: Candidate, warms_up: bool = False) -> dict[str, Any]:
    work = Workload("Count", [_working("headrace"), *others], warms_up=warms_up)
    return await measure(work, 3)


@pytest.mark.parametrize("warms_up", [True, False])
async def test_the_report_has_the_reason_of_an_unavailable_peer_and_the_figures_of_others(
    warms_up: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is printed once, not in each round."""
    peer = unavailable("Kafka Streams", PeerUnavailable("there is no JDK on the PATH"))
    results = await _measured(peer, _working("bare aiokafka"), warms_up=warms_up)

    table = report.table({"workloads": [results]})
    assert "| Kafka Streams | unavailable: there is no JDK on the PATH |  |  |" in table
    assert [line.count("|") for line in table.splitlines() if line] == [5] * 5
    assert "| bare aiokafka | 2" in table
    screen = capsys.readouterr().out
    assert screen.count("Kafka Streams is unavailable: there is no JDK on the PATH") == 1


async def test_a_chart_shows_measured_candidates_only() -> None:
    """An unavailable peer leaves no gap."""
    peer = unavailable("Quix Streams", PeerUnavailable("uv could not install it"))
    with_it, without = await _measured(peer), await _measured()

    assert chart.render([with_it, without]) == chart.render([without, without])


async def test_a_chart_leaves_out_workloads_that_are_not_charted() -> None:
    """For example those whose figures are all 0."""
    work = Workload("Kill", [_working("headrace")], warms_up=False, is_charted=False)
    charted = await _measured()

    assert chart.render([charted, await measure(work, 1)]) == chart.render([charted])


@pytest.mark.parametrize("on_run", [1, 3])
async def test_a_failing_peer_is_excluded_and_reported(
    on_run: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures of earlier rounds are discarded; the traceback is printed."""
    results = await _measured(_failing("plain Faust", on_run), _working("bare aiokafka"))

    (_, failed, other) = results["candidates"]
    assert failed == {
        "name": "plain Faust",
        "unavailable": "it failed (RuntimeError)",
        "failed": True,
    }
    assert "figures" in other
    assert "no such group" in capsys.readouterr().err


async def test_a_failure_of_the_first_candidate_is_raised() -> None:
    """The others cannot be compared with it."""
    with pytest.raises(RuntimeError, match="no such group"):
        await measure(Workload("Count", [_failing("headrace", 1), _working("other")]), 1)


def _reason(prepare: Any, *arguments: Any) -> str:
    command = prepared_command(lambda: prepare(*arguments))
    assert isinstance(command, PeerUnavailable)
    return str(command)


def _put_failing_tools(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("java", "javac", "go", "uv"):
        (folder / tool).write_text("#!/bin/sh\nexit 1\n")
        (folder / tool).chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))


def test_missing_tools_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JDK and Go."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _reason(kafka_streams.kafka_streams, tmp_path) == "there is no JDK on the PATH"
    assert _reason(http.go_peer, tmp_path) == "there is no `go` on the PATH"


def test_failed_downloads_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Maven Central, the Go module proxy or PyPI."""
    _put_failing_tools(tmp_path, monkeypatch)

    def download(endpoint: str, folder: Path) -> Sequence[Path]:
        raise OSError(f"{endpoint} is unavailable")

    monkeypatch.setattr("benchmarks.kafka_streams.cache_directory", lambda: tmp_path)
    monkeypatch.setattr("headrace.local.broker.maven.download", download)

    assert "could not be downloaded from Maven Central" in _reason(
        kafka_streams.kafka_streams, tmp_path
    )
    assert "`go build`" in _reason(http.go_peer, tmp_path)
    assert _reason(engine.quix_streams) == "uv could not install it"


def test_a_failed_compilation_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example with a JDK that is too old."""
    _put_failing_tools(tmp_path, monkeypatch)
    monkeypatch.setattr("headrace.local.broker.maven.download", lambda *_: [tmp_path / "a.jar"])
    monkeypatch.setattr("benchmarks.kafka_streams.cache_directory", lambda: tmp_path)

    assert "javac" in _reason(kafka_streams.kafka_streams, tmp_path)
