"""Recorded requests of other systems' clients, and what they mean.

`tests/data/dialects/<dialect>/<session>.jsonl.gz` has a request per line, and
`<session>.expected.json` beside it what headrace must store of them.
"""

import asyncio
import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from producer_api.events.derive.salts import day_name
from producer_api.http.create_app import create_app
from schemas import codec, headers
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.fake_kafka import FakeKafka

FOLDER = Path(__file__).parents[3] / "data" / "dialects"
#: Headers that httpx sets itself.
_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length"})


@dataclass(frozen=True)
class Recorded:
    """A request of a recording: its `at` is in microseconds since the epoch."""

    at: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def recordings() -> list[Path]:
    """Return all recorded sessions."""
    return sorted(FOLDER.glob("*/*.jsonl.gz"))


def label(file: Path) -> str:
    """Return the name of a session for the ids of tests."""
    return file.name.removesuffix(".jsonl.gz")


def expected(file: Path) -> dict[str, Any]:
    """Return what a session means."""
    content: dict[str, Any] = json.loads((file.parent / f"{label(file)}.expected.json").read_text())
    return content


def requests(file: Path) -> Iterator[Recorded]:
    """Yield the requests of a session, in order."""
    for line in gzip.decompress(file.read_bytes()).splitlines():
        row = json.loads(line)
        body = row["body"] or ""
        content = base64.b64decode(body) if row["body_encoding"] == "base64" else body.encode()
        sent = {
            name: value
            for name, value in row["headers"].items()
            if name.lower() not in _OF_THE_CONNECTION
        }
        at = round(datetime.fromisoformat(row["at"]).timestamp() * 1e6)
        yield Recorded(at, row["method"], row["path"], sent, content)


def as_bytes(request: Recorded) -> bytes:
    """Return a request as it is sent over a connection."""
    lines = [f"{request.method} {request.path} HTTP/1.1", "host: headrace"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"content-length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + request.body


class Replay:
    """An application that recorded requests are sent to, at their own time."""

    def __init__(self, **api: Any) -> None:
        self._now = 0
        self.kafka = FakeKafka()
        settings = Settings(api=ApiSettings(sites="open", **api))
        self.api = create_app(settings, connection=self.kafka, now=lambda: self._now)

    async def start(self) -> None:
        """Connect to Kafka."""
        await self.api.start()

    def set_clock(self, now: int) -> None:
        """Set the time, in microseconds since the epoch, and create the salt of its day."""
        self._now = now
        for day in self.api.salts.missing():
            self.api.salts.apply(day_name(day).encode(), self.api.salts.candidate(day))

    async def send(self, file: Path) -> list[httpx.Response]:
        """Send the requests of a session, and return the responses."""
        await self.start()
        responses = []
        async with client_of(self.api) as client:
            for request in requests(file):
                self.set_clock(request.at)
                responses.append(
                    await client.request(
                        request.method, request.path, headers=request.headers, content=request.body
                    )
                )
        return responses

    def events_with_client_id(self) -> list[RawEvent]:
        """Return the stored events whose id comes from the client, each once."""
        ids = {
            value.decode()
            for record in self.kafka.stored
            for name, value in record.headers
            if name == headers.EVENT_ID_TEXT and (headers.CLIENT_ID, b"") in record.headers
        }
        return [event for event in self.events() if event.event_id in ids]

    def events(self) -> list[RawEvent]:
        """Return the stored events, without those of an event id that is already there."""
        events: dict[str, RawEvent] = {}
        for record in self.kafka.stored:
            event = codec.decode(record.value, RawEvent)
            events.setdefault(event.event_id, event)
        return list(events.values())


def summary(responses: list[httpx.Response], events: list[RawEvent]) -> dict[str, Any]:
    """Return what a session meant, in the form of the file of its expectations."""
    views = [event for event in events if event.type == "pageview"]
    payments = [event for event in events if event.type == "payment"]
    return {
        "statuses": _counts(str(response.status_code) for response in responses),
        "types": _counts(event.type for event in events),
        "names": _counts(event.event_name for event in events),
        "views": [event.path for event in sorted(views, key=lambda event: event.event_ts)],
        "sites": sorted({event.site_id for event in events}),
        "users": sorted({event.user_id for event in events if event.user_id}),
        "visitors": len({event.visitor_id for event in events}),
        "sessions": len({event.session_id for event in events}),
        "revenue": [[str(event.amount), event.currency] for event in payments],
        "durations_ms": [event.duration_ms for event in events if event.duration_ms is not None],
        "vitals": _counts(name for event in events for name in event.vitals or ()),
        "errors": [event.error_message for event in events if event.type == "error"],
        "time_sources": _counts(event.time_source for event in events),
    }


def _counts(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name).items()))


async def main() -> None:
    """Write what headrace makes of sessions; compare it with what their client did."""
    for name in sys.argv[1:]:
        file = Path(name)
        replay = Replay()
        responses = await replay.send(file)
        content = json.dumps(summary(responses, replay.events()), indent=2, ensure_ascii=False)
        (file.parent / f"{label(file)}.expected.json").write_text(content + "\n")


if __name__ == "__main__":
    asyncio.run(main())
