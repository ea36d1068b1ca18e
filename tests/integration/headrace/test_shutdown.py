"""SIGTERM stops each role in time, whatever is unavailable; no acknowledged event is lost."""

import signal
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

from tests.fixtures.waiting import eventually
from tests.integration.headrace.roles import READY, all_ready, own_database, own_kafka, roles_of

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

_NOWHERE = "127.0.0.1:1"
_NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"
_WORKERS = ("streams", "live", "sinks")


class _Load(threading.Thread):
    """Sends batches until one fails; counts the acknowledged events."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{port}/api/events"
        self.acknowledged = 0

    def run(self) -> None:
        """Send batches."""
        number = 0
        with httpx.Client(timeout=30) as client:
            while True:
                batch = [
                    {"type": "pageview", "site_id": "s", "session_id": f"s{n % 50}"}
                    for n in range(number, number + 200)
                ]
                try:
                    answer = client.post(self._url, json=batch)
                except httpx.TransportError:
                    return
                if answer.status_code != 202:
                    return
                number += 200
                self.acknowledged = number


def _counted(folder: Path) -> tuple[int, int]:
    with sqlite3.connect(f"file:{folder / 'headrace.db'}?mode=ro", uri=True) as connection:
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
        (sessions,) = connection.execute("SELECT coalesce(sum(events), 0) FROM sessions").fetchone()
    return events, sessions


def test_a_shutdown_under_load_loses_no_events(
    tmp_path: Path,
) -> None:
    """After a restart, each acknowledged event counts once."""
    with all_ready(tmp_path) as (_, roles):
        load = _Load(roles.ports["api"])
        load.start()
        eventually(
            lambda: _counted(tmp_path)[1] > 1_000, within_seconds=60, what="events are counted"
        )
        roles.term(*_WORKERS, "query")
        assert roles.codes(*_WORKERS, "query") == dict.fromkeys((*_WORKERS, "query"), 0)
        roles.term("api")
        assert roles.codes("api") == {"api": 0}
        load.join()

        roles.start("streams", "sinks")
        everything = (load.acknowledged, load.acknowledged)
        eventually(
            lambda: _counted(tmp_path) == everything,
            within_seconds=90,
            what=f"{everything} events are stored and counted",
        )


@pytest.mark.slow
def test_a_shutdown_while_kafka_does_not_respond_ends_in_time(
    tmp_path: Path,
) -> None:
    """A frozen broker accepts connections. A second signal exits immediately."""
    with all_ready(tmp_path) as (kafka, roles):
        kafka.process.send_signal(signal.SIGSTOP)
        roles.term(*READY)
        roles.wait_for({"live": "stop signal received"})
        roles.term("live")

        assert roles.codes(*READY) == dict.fromkeys(READY, 0) | {"live": 1}


def test_a_shutdown_before_kafka_is_reachable_ends_in_time(tmp_path: Path) -> None:
    """No role is ready yet."""
    with roles_of(_NOWHERE, own_database(tmp_path), tmp_path) as roles:
        roles.start(*READY)
        waiting = dict.fromkeys(_WORKERS, f"Kafka does not answer at {_NOWHERE}")
        roles.wait_for(waiting | {"api": "is not reached", "query": READY["query"]})
        roles.term(*READY)

        assert roles.codes(*READY) == dict.fromkeys(READY, 0)


@pytest.mark.slow
def test_a_shutdown_while_the_database_is_unavailable_ends_in_time(tmp_path: Path) -> None:
    """During the startup, and during a batch that waits for a lock."""
    with own_kafka(tmp_path) as kafka:
        with roles_of(kafka.bootstrap, _NO_DATABASE, tmp_path) as roles:
            roles.start("sinks")
            roles.wait_for({"sinks": "retrying; the events stay in Kafka"})
            roles.term("sinks")
            assert roles.codes("sinks") == {"sinks": 0}

        with roles_of(kafka.bootstrap, own_database(tmp_path), tmp_path) as roles:
            roles.start("sinks", "api")
            roles.wait_for({name: READY[name] for name in ("sinks", "api")})
            other = sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            url = f"http://127.0.0.1:{roles.ports['api']}/api/event"
            event = {"type": "pageview", "site_id": "s", "session_id": "s"}
            assert httpx.post(url, json=event, timeout=30).status_code == 202
            roles.wait_for({"sinks": "retrying; the events stay in Kafka"})
            roles.term("sinks")
            assert roles.codes("sinks") == {"sinks": 0}
            other.rollback()
            other.close()

            roles.start("sinks")
            eventually(
                lambda: _counted(tmp_path)[0] == 1, within_seconds=60, what="the event is stored"
            )
