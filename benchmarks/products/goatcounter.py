"""GoatCounter with SQLite, which stores the events of the last second at once."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Container, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import msgspec

from benchmarks.products.go_module import GoModule
from benchmarks.products.load import post
from benchmarks.products.product import Event, Product
from benchmarks.products.rows import Rows
from tests.fixtures.waiting import eventually

MODULE = GoModule("zgo.at/goatcounter/v2", "v2.7.0", "./cmd/goatcounter", "BENCH_GOATCOUNTER")
_HOST = "goatcounter.localhost"
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
_LIMITS = ",".join(f"{name}:1000000/1" for name in ("count", "api", "api-count"))
_READY_SECONDS = 30
#: A flag of the settings of a site.
_COLLECT_HITS = 256


class GoatCounter(Product):
    """Its API for back ends, which takes one or up to 500 page views."""

    killed = ("goatcounter",)
    #: With 5,000 events in memory, concurrent requests store them: some panic, and get a 500.
    stores_rejected = True

    def start(self) -> None:
        """Build and start it, with a site and a key."""
        program = str(MODULE.program())
        self._file = self.folder / "goatcounter.db"
        database = f"sqlite+{self._file}"
        user = ("-user.email", "bench@example.com", "-user.password", "benchmark")
        _db(program, database, "create", "site", "-createdb", "-vhost", _HOST, *user)
        _store_each_hit(self._file)
        key = ("-name", "bench", "-user", "1", "-perm", "count")
        _db(program, database, "create", "apitoken", *key)
        shown = _db(program, database, "show", "apitoken", "-find", "1")
        self._key = re.findall(r"token\W+(\w{20,})", shown)[0]
        options = ("-listen", f"127.0.0.1:{self.port}", "-tls", "http", "-db", database)
        limits = ("-store-every", "1", "-ratelimit", _LIMITS)
        self.run("goatcounter", (program, "serve", *options, *limits))
        eventually(self._is_ready, within_seconds=_READY_SECONDS, what="GoatCounter listens")

    def rows(self) -> Rows:
        """Return the hits; the path of an event that is looked up is its id."""
        return Rows(
            f"sqlite:///{self._file}", "hits JOIN paths USING (path_id)", "path", prefix="/"
        )

    def request(self, events: Sequence[Event], found: Container[str]) -> bytes:
        """See `Product`."""
        hits = [_hit(event, event["event_id"] in found) for event in events]
        headers = {"Host": _HOST, "Authorization": f"Bearer {self._key}"}
        return post("/api/v0/count", msgspec.json.encode({"hits": hits}), headers)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/status").status_code < 500
        except httpx.TransportError:
            return False


def _store_each_hit(file: Path) -> None:
    """Turn on "individual pageviews"; by default GoatCounter stores counts only."""
    with closing(sqlite3.connect(file)) as database, database:
        ((stored,),) = database.execute("SELECT settings FROM sites").fetchall()
        settings = json.loads(stored)
        settings["collect"] |= _COLLECT_HITS
        database.execute("UPDATE sites SET settings = ?", (json.dumps(settings).encode(),))


def _hit(event: Event, is_found: bool) -> Event:
    is_view = event["type"] == "pageview"
    name = event.get("event_name", event["type"])
    return {
        "path": f"/{event['event_id']}" if is_found else event["path"] if is_view else name,
        "event": not is_view and not is_found,
        "title": event.get("title", ""),
        "ref": event.get("referrer", ""),
        "session": event["session_id"],
        "user_agent": _USER_AGENT,
        "size": str(event["screen"]["width"]) if "screen" in event else "",
    }


def _db(program: str, database: str, *arguments: str) -> str:
    command = (program, "db", *arguments, "-db", database)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
