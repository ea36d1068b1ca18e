"""The application that collects events, behind a proxy that loses connections."""

import http.client
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec

from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from schemas.codec import decode
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.serving import served


class Collector:
    """The events that Kafka has, and the requests that the proxy received."""

    def __init__(self, kafka: FakeKafka, port: int) -> None:
        self._kafka = kafka
        self.url = f"http://collect.localhost:{port}"
        self.posts = 0
        self.lost = 0
        self.preflights = 0
        #: While it is not set, POSTs get no response.
        self.responds = threading.Event()
        self.responds.set()
        #: The headers of the POSTs.
        self.requests: list[dict[str, str]] = []

    @property
    def records(self) -> list[RawEvent]:
        """All records, repeated ones too."""
        return [decode(stored.value, RawEvent) for stored in list(self._kafka.stored)]

    @property
    def events(self) -> list[RawEvent]:
        """The events in the order of their timestamps, each id once as after deduplication."""
        unique = {event.event_id: event for event in reversed(self.records)}
        return sorted(unique.values(), key=lambda event: (event.event_ts, event.event_id))

    def of_type(self, event_type: str) -> list[RawEvent]:
        """Return the events of a type."""
        return [event for event in self.events if event.type == event_type]


def properties_of(event: RawEvent) -> dict[str, Any]:
    """Return the properties of an event."""
    found: dict[str, Any] = msgspec.json.decode(event.properties or "{}")
    return found


@asynccontextmanager
async def _started(kafka: FakeKafka) -> AsyncIterator[Api]:
    api = create_app(Settings(api=ApiSettings(sites="open")), connection=kafka)
    await api.start()
    yield api
    await api.stop()


class _Proxy(ThreadingHTTPServer):
    """Forwards requests to the application; loses each `loses_every`th POST."""

    daemon_threads = True

    def __init__(self, kafka: FakeKafka, upstream: str, loses_every: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.collector = Collector(kafka, self.server_port)
        self._upstream = urlsplit(upstream).netloc
        self._loses_every = loses_every
        self._lock = threading.Lock()

    def next_post(self) -> tuple[bool, bool]:
        """Return whether to forward the next POST, and whether to send its response."""
        collector = self.collector
        with self._lock:
            collector.posts += 1
            if not self._loses_every or collector.posts % self._loses_every:
                return True, True
            collector.lost += 1
            return collector.lost % 2 == 0, False

    def forward(
        self, method: str, path: str, body: bytes | None, headers: Message
    ) -> http.client.HTTPResponse:
        """Return the application's response."""
        upstream = http.client.HTTPConnection(self._upstream, timeout=30)
        upstream.request(method, path, body, dict(headers))
        return upstream.getresponse()


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        is_forwarded, is_answered = self.server.next_post()
        collector = self.server.collector
        collector.requests.append(dict(self.headers))
        if not collector.responds.is_set():
            collector.responds.wait()
            is_forwarded = False
        response = self._forward(body) if is_forwarded else None
        if response is not None and is_answered:
            self._respond(response)
        else:
            # Resets the connection, as a crashed proxy does.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def do_GET(self) -> None:
        self._respond(self._forward(None))

    def do_OPTIONS(self) -> None:
        self.server.collector.preflights += 1
        self._respond(self._forward(None))

    def _forward(self, body: bytes | None) -> http.client.HTTPResponse:
        return self.server.forward(self.command, self.path, body, self.headers)

    def _respond(self, response: http.client.HTTPResponse) -> None:
        content = response.read()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def open_collector(*, loses_every: int = 0) -> Iterator[Collector]:
    """Yield the application behind a proxy. The proxy loses each `loses_every`th POST.

    It closes the connection alternately before and after the application got the request.
    """
    kafka = FakeKafka()
    with served(_started(kafka)) as url, _Proxy(kafka, url, loses_every) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy.collector
        finally:
            proxy.shutdown()
