"""What measures whole products: the load, rows, programs, and builds of Go modules."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks import products
from benchmarks.measure import Candidate, Measurement, PeerUnavailable, Workload, measure
from benchmarks.products.go_module import GoModule
from benchmarks.products.load import Load, post
from benchmarks.products.program import Program, cpu_seconds, megabytes
from benchmarks.products.rows import Rows
from tests.fixtures.waiting import eventually

_BODY = b"{}"
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
_CLOSES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def _server(respond: Callable[[int], bytes | None]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve what `respond` returns for the number of a request; close the connection for None."""
    paths: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            await reader.readexactly(len(_BODY))
            paths.append(head.split()[1])
            response = respond(len(paths) - 1)
            if response is None:
                break
            # In two parts, as a network may deliver them.
            for part in (response[:20], response[20:]):
                writer.write(part)
                await writer.drain()
            if response is _CLOSES:
                break
        writer.close()

    async def serve_until_closed(*streams: Any) -> None:
        try:
            await serve(*streams)
        except asyncio.IncompleteReadError:
            streams[1].close()

    server = await asyncio.start_server(serve_until_closed, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], paths


def _requests(count: int) -> list[bytes]:
    return [post(f"/{number}", _BODY, {"Host": "bench"}) for number in range(count)]


@pytest.mark.parametrize("connections", [1, 3])
async def test_a_load_sends_each_request_once(connections: int) -> None:
    """Also if the server closes the connection after a response."""
    async with _server(lambda number: (_ACCEPTED, _CLOSES)[number % 2]) as (port, paths):
        accepted = await Load(port, _requests(10), connections).send()

    assert sorted(paths) == [b"/%d" % number for number in range(10)]
    assert None not in accepted


async def test_a_load_reports_requests_that_were_not_accepted() -> None:
    """An error, and a connection that breaks before the response."""
    responses = [_ACCEPTED, _FAILED, None, _ACCEPTED]
    async with _server(responses.__getitem__) as (port, paths):
        accepted = await Load(port, _requests(4), 1).send()

    assert [time is not None for time in accepted] == [True, False, False, True]
    assert len(paths) == 4


async def test_a_load_waits_until_a_killed_server_listens_again(unused_tcp_port: int) -> None:
    """It connects again and again."""
    sending = asyncio.ensure_future(Load(unused_tcp_port, _requests(1), 1).send())
    await asyncio.sleep(0)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_CLOSES)
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", unused_tcp_port):
        (accepted,) = await sending

    assert accepted is not None


async def test_rows_are_counted_and_found_by_the_id_of_their_event(tmp_path: Path) -> None:
    """The column may have a prefix, as a path does."""
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE hits (path TEXT)")
        database.executemany("INSERT INTO hits VALUES (?)", [("/a",), ("/b",), ("/b",)])
    rows = Rows(f"sqlite:///{tmp_path / 'a.db'}", "hits", "path", prefix="/")

    assert await rows.count() == 3
    assert await rows.find({"b", "c"}) == {"b"}
    assert await rows.find(set()) == set()
    assert sorted(await rows.ids()) == ["a", "b", "b"]
    assert await rows.database_bytes() == 0
    await rows.close()


_BUSY_CHILD = "sum(range(3_000_000)); input()"


def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    """Its CPU time and memory include those of its children."""
    # The child ends with its parent, which holds its standard input open.
    child = "subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE).wait()"
    # The system counts CPU time in steps of some milliseconds.
    argv = (sys.executable, "-c", f"import subprocess, sys; code = {_BUSY_CHILD!r}; {child}")
    program = Program(argv, tmp_path / "log", {})
    program.start()
    first = program.pid
    try:
        children = eventually(
            lambda: psutil.Process(first).children(), within_seconds=30, what="a child runs"
        )
        assert megabytes([first]) > megabytes([children[0].pid]) > 0
        eventually(lambda: cpu_seconds([first]) > 0, within_seconds=30, what="CPU time was counted")
        program.kill()
        assert program.pid != first
    finally:
        program.stop()

    assert not psutil.pid_exists(program.pid)


def test_a_program_that_ended_is_started_again(tmp_path: Path) -> None:
    """A running one is left alone."""
    program = Program((sys.executable, "-c", "print('started')"), tmp_path / "log", {})
    program.start()
    first = program.pid

    def is_restarted() -> bool:
        program.restart_if_ended()
        return program.pid != first

    eventually(is_restarted, within_seconds=30, what="it is started again")
    program.stop()

    assert "started" in program.output


def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: str) -> GoModule:
    """Return a module; `go` is the script of the only program on the PATH besides `nice`."""
    (tmp_path / "go").write_text(f"#!/bin/sh\n{go}\n")
    (tmp_path / "go").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("benchmarks.products.go_module.cache_directory", lambda: tmp_path)
    (tmp_path / "main.go").write_text("package main\n")
    added = {"cmd/peer/main.go": tmp_path / "main.go"}
    return GoModule("example.com/peer", "v1.2.3", "./cmd/peer", "BENCH_PEER", added)


def test_a_go_module_that_is_not_served_or_not_compiled_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its version."""
    with pytest.raises(PeerUnavailable, match=r"did not serve example.com/peer v1.2.3"):
        _module(tmp_path, monkeypatch, "exit 1").program()

    download = f'[ $1 = mod ] && echo \'{{"Dir": "{tmp_path / "source"}"}}\''
    (tmp_path / "source").mkdir()
    with pytest.raises(PeerUnavailable, match=r"`go build` of example.com/peer v1.2.3 failed"):
        _module(tmp_path, monkeypatch, download).program()


def test_a_go_module_is_built_once_in_a_copy_with_the_added_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The downloaded source is read-only."""
    (tmp_path / "source").mkdir(mode=0o500)
    build = f"""if [ $1 = mod ]; then echo '{{"Dir": "{tmp_path / "source"}"}}'; exit; fi
echo built >> {tmp_path / "builds"}
cp cmd/peer/main.go $3"""
    module = _module(tmp_path, monkeypatch, build)

    assert module.program() == module.program()
    assert module.program().read_text() == "package main\n"
    assert (tmp_path / "builds").read_text() == "built\n"

    monkeypatch.setenv("BENCH_PEER", "/opt/peer")
    assert module.program() == Path("/opt/peer")


async def test_a_product_runs_once_per_round_for_all_workloads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its processes are killed in the first round; a failure is one of each workload."""
    runs: list[tuple[str, bool]] = []

    def run(name: str, *, with_kills: bool) -> Mapping[str, Any] | Exception:
        runs.append((name, with_kills))
        if name == "GoatCounter":
            return PeerUnavailable("there is no `go` on the PATH")
        return dict.fromkeys((*titles, *kills), Measurement(10, 1, 2))

    monkeypatch.setattr(products, "_run", run)
    async with products.workloads() as workloads:
        titles = [workload.title for workload in workloads]
        kills = [one.name.rpartition(": ")[2] for one in workloads[-1].candidates]
        results = [await measure(workload, 2) for workload in workloads]

    first = results[0]["candidates"][0]["name"]
    assert [kill for name, kill in runs if name == first] == [True, False]
    assert len(runs) == 2 * len(results[0]["candidates"]) - 1
    unavailable = {
        one["name"]: one["unavailable"]
        for result in results
        for one in result["candidates"]
        if "unavailable" in one
    }
    reason = "there is no `go` on the PATH"
    assert unavailable == {"GoatCounter": reason, "GoatCounter: goatcounter": reason}


async def test_a_workload_may_have_its_own_number_of_rounds() -> None:
    """Whatever is requested."""
    runs = []

    async def run() -> Measurement:
        runs.append(1)
        return Measurement(10, 1, 2)

    await measure(Workload("Kill", [Candidate("a", run)], warms_up=False, rounds=1), 3)

    assert len(runs) == 1
