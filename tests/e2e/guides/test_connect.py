"""Kafka Connect writes the topics of a real stack to PostgreSQL as documented."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.e2e.guides.conftest import OpenGuide
from tests.e2e.guides.registry import running_registry
from tests.e2e.guides.snippets import snippets
from tests.e2e.stack import Stack
from tests.fixtures.markdown import ROOT
from tests.fixtures.waiting import NotInTimeError, eventually

_GUIDE = "consume-topics.md"
_SECONDS = 180
#: The documented address of PostgreSQL.
_POSTGRES = "127.0.0.1:5432"
_PATHS_OF_VISITS = (
    "psql postgresql://connect:secret@127.0.0.1:5432/warehouse -At"
    " -c 'SELECT entry_path FROM visits'"
)
_PATHS_OF_EVENTS = (
    "psql postgresql://connect:secret@127.0.0.1:5432/warehouse -At -c 'SELECT path FROM events'"
)


class Warehouse:
    """The database of the guide, on the server at `address`, `host:port`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self, command: str) -> set[str]:
        """Run a documented command; return the lines that it prints, none without the table."""
        command = command.replace(_POSTGRES, self.address)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        return set(done.stdout.splitlines())

    def wait_for(self, command: str, lines: set[str]) -> None:
        """Wait until a command prints these lines, and maybe others."""
        eventually(
            lambda: lines <= self.run(command), within_seconds=_SECONDS, what=f"{command}: {lines}"
        )


@pytest.fixture
def warehouse(
    postgres_server: str, postgres_path: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """Yield the warehouse, which is empty."""
    monkeypatch.setenv("PATH", postgres_path)

    def execute(*statements: str) -> None:
        options = [part for statement in statements for part in ("-c", statement)]
        subprocess.run(["psql", "-q", postgres_server, *options], check=True, timeout=60)

    role = "CREATE ROLE connect LOGIN PASSWORD 'secret'"
    execute(role, "CREATE DATABASE warehouse OWNER connect")
    url = make_url(postgres_server)
    try:
        yield Warehouse(f"{url.host}:{url.port}")
    finally:
        execute("DROP DATABASE warehouse WITH (FORCE)", "DROP ROLE connect")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_connect_keeps_tables_of_visits_and_events(
    open_guide: OpenGuide, stack: Stack, tmp_path: Path, warehouse: Warehouse
) -> None:
    """The documented rows; an erased visit is deleted, and the connectors continue after that."""
    with running_registry() as registry:
        addresses = {_POSTGRES: warehouse.address, "127.0.0.1:8081": registry}
        guide = open_guide(_GUIDE, addresses=addresses)
        guide.run("Send something to read")
        guide.run("Kafka Connect")
        try:
            check_documented_rows(warehouse)
            check_erasure(warehouse, stack)
        except NotInTimeError:
            log = (tmp_path / "connect.log").read_text("utf-8").splitlines()
            print(*(line for line in log if "INFO" not in line), sep="\n")  # noqa: T201
            raise


def check_documented_rows(warehouse: Warehouse) -> None:
    """Check what the documented queries print."""
    for query in snippets(ROOT / "docs" / "guides" / _GUIDE):
        if query.section == "Query the tables":
            warehouse.wait_for(query.text, set(query.output.splitlines()))


def check_erasure(warehouse: Warehouse, stack: Stack) -> None:
    """Check that the tombstone deletes the row, and that later events arrive nevertheless."""
    send_pageview(warehouse, stack, "/before-erasure")

    erase = ("erase", "--site", "connect-erased", "--yes", "--data-dir", str(stack.data_dir))
    subprocess.run([sys.executable, "-m", "headrace", *erase], check=True, timeout=120)

    def remaining() -> set[str]:
        return warehouse.run(_PATHS_OF_VISITS) & {"/pricing", "/before-erasure"}

    eventually(
        lambda: remaining() == {"/pricing"},
        within_seconds=_SECONDS,
        what="only the erased visit is deleted",
    )

    # The same session, so the same partition: its punctuation and erasure records come first.
    send_pageview(warehouse, stack, "/after-erasure")


def send_pageview(warehouse: Warehouse, stack: Stack, path: str) -> None:
    """Send a page view, and wait until both tables have it."""
    event = {"type": "pageview", "site_id": "connect-erased", "session_id": "reader", "path": path}
    assert stack.post(event)[0] == 202
    warehouse.wait_for(_PATHS_OF_VISITS, {path})
    warehouse.wait_for(_PATHS_OF_EVENTS, {path})
