"""The roles are upgraded one after the other, under load."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import LOOPBACK, free_port
from tests.e2e.stack import PARTITIONS, Stack
from tests.faults.scenario import SHORT_VISITS, Scenario
from tests.faults.workers import HEADRACE, RoleProcess, Workers, is_ready
from tests.fixtures.postgres import LocalPostgres
from tests.fixtures.previous_version import previous_headrace
from tests.fixtures.waiting import eventually

#: The order of docs/guides/operate.md#upgrade.
_ORDER = ("query", "sinks", "streams", "live", "api")
_HTTP = ("query", "api")


class Roles(Stack):
    """The processes of an installation without `headrace up`; `url` is that of the current `api`.

    A process is replaced when the new one is ready, so both are in the consumer group for a moment.
    """

    def __init__(self, data_dir: Path, kafka: str, database: str) -> None:
        super().__init__(data_dir, {**SHORT_VISITS, "HEADRACE_DATABASE__URL": database})
        self._kafka = kafka
        self._workers = Workers(self)
        self._running: dict[str, RoleProcess] = {}
        self._query_url = ""

    @property
    def kafka(self) -> str:
        """The broker's address."""
        return self._kafka

    @property
    def screen(self) -> str:
        """The last lines of each process."""
        started = self._workers.started
        return "\n".join(f"{one.log.name}: {one.lines[-20:]}" for one in started)

    def replace_role(
        self, role: str, headrace: Sequence[str], settle: Callable[[], None] = lambda: None
    ) -> None:
        """Start a role with a version's command; then stop its current process.

        `settle` waits for the requests that have begun, as a load balancer does: during its last
        half second, the process answers new ones with 503.
        """
        port = free_port()
        url = f"http://{LOOPBACK}:{port}"
        settings = {"HEADRACE_API__PORT": str(port), "HEADRACE_API__HOST": LOOPBACK}
        started = self._workers.start(role, settings, headrace)
        if role in _HTTP:
            eventually(lambda: is_ready(url), within_seconds=120, what=f"{role} is ready")
        else:
            started.wait_ready()
        if role == "api":
            self.port = port
        elif role == "query":
            self._query_url = url
        settle()
        if before := self._running.get(role):
            assert before.end() == 0, before.log.read_text()
        self._running[role] = started

    def run(self, headrace: Sequence[str], *command: str) -> str:
        """Run a command of a version; return its output."""
        ended = subprocess.run(
            [*headrace, *command],
            env={
                **os.environ,
                **self.settings,
                "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
                "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def live_events(self, site_id: str, token: str) -> int:
        """Return the live number of a site's events in the last 30 minutes."""
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{self._query_url}/api/sites/{site_id}/live",
            headers={"authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
            return sum(json.load(response)["per_minute"])

    def end(self) -> None:
        """Kill all processes."""
        for process in self._workers.started:
            process.kill()


@contextmanager
def installation(folder: Path, headrace: Sequence[str]) -> Iterator[Roles]:
    """Run all roles of a version, with a broker and a PostgreSQL server."""
    with LocalKafka(folder / "broker") as broker, LocalPostgres() as server:
        roles = Roles(folder / "roles", broker.bootstrap, server.url)
        try:
            set_up(roles, headrace)
            for role in _ORDER:
                roles.replace_role(role, headrace)
            yield roles
        finally:
            roles.end()


def set_up(roles: Roles, headrace: Sequence[str]) -> None:
    """Create or upgrade the topics and the database for a version."""
    roles.run(headrace, "topics", "create")
    roles.run(headrace, "db", "upgrade")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rolling_upgrade_from_the_previous_version(tmp_path: Path, seed: int) -> None:
    """Every request is answered, everything is exact, and the audit finds nothing.

    All roles go back to the previous version in reverse order, and forward again.
    """
    previous = (str(previous_headrace()),)
    with installation(tmp_path, previous) as roles:
        scenario = Scenario(roles, seed, lambda *_: None)
        with scenario.load() as load:
            scenario.recover()
            set_up(roles, HEADRACE)
            forward = [(role, HEADRACE) for role in _ORDER]
            back = [(role, previous) for role in reversed(_ORDER)]
            for role, headrace in [*forward, *back, *forward]:
                roles.replace_role(role, headrace, load.settle)
                load.more(100)
                scenario.recover()
        scenario.check()
        assert load.statuses.keys() <= {202, 207, 400}, load.statuses
        token = roles.run(HEADRACE, "tokens", "create", "--all").split()[-1]
        assert roles.live_events("probe", token) == len(scenario.recoveries)
        roles.run(HEADRACE, "audit")
