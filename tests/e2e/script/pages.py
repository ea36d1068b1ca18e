"""A site with the tracker and its collector, on one origin, with responses that a test chooses."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from producer_api.tracker.scripts import NAMES, load
from tests.fixtures.waiting import eventually

SITE = "shop"
_SECONDS = 20
_PAGE = """<!doctype html><title>{title}</title>{head}
{tag}
<body style="height: 300vh">{body}"""

Event = dict[str, Any]


class Page:
    """A page: its HTML around the tag, its tag, and its headers."""

    def __init__(  # noqa: PLR0913 - the parts of a page
        self,
        body: str = "",
        *,
        attributes: str = "",
        head: str = "",
        script: str = NAMES[0],
        headers: Mapping[str, str] = MappingProxyType({}),
        status: int = 200,
        tag: str = '<script defer src="/{script}" data-site="shop" {attributes}></script>',
    ) -> None:
        tag = tag.format(script=script, attributes=attributes)
        self.parts = {"body": body, "head": head, "tag": tag}
        self.headers = headers
        self.status = status


class Pages(ThreadingHTTPServer):
    """Serves pages by path, the scripts, and the event API."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, Page] = {}
        #: The events of each POST.
        self.posts: list[list[Event]] = []
        #: The headers of each POST.
        self.requests: list[dict[str, str]] = []
        #: What the next POSTs get instead of 202: a status, headers and JSON; None closes the
        #: connection.
        self.answers: list[tuple[int, dict[str, str], Any] | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def events(self) -> list[Event]:
        """All events, each id once, in the order of their timestamps."""
        unique = {event["event_id"]: event for post in list(self.posts) for event in post}
        return sorted(unique.values(), key=lambda event: (event["timestamp"], event["event_id"]))

    def of_type(self, event_type: str) -> list[Event]:
        """Return the events of a type."""
        return [event for event in self.events if event["type"] == event_type]

    def wait_for(self, event_type: str, count: int = 1) -> list[Event]:
        """Wait until this number of events of a type have arrived; return them."""
        return eventually(
            lambda: found if len(found := self.of_type(event_type)) >= count else [],
            within_seconds=_SECONDS,
            what=f"{count} {event_type}",
        )


class _Handler(BaseHTTPRequestHandler):
    server: Pages
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve a script or a page."""
        path = urlsplit(self.path).path
        if path[1:] in NAMES:
            self._respond(200, load(path[1:]).content, {"content-type": "text/javascript"})
            return
        page = self.server.pages.get(path, Page())
        html = _PAGE.format(title=path, **page.parts).encode()
        self._respond(page.status, html, {"content-type": "text/html", **page.headers})

    def do_POST(self) -> None:
        """Record events, and respond with the next answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append({**dict(self.headers), "path": self.path})
        answer = self.server.answers.pop(0) if self.server.answers else (202, {}, {})
        events = body if isinstance(body, list) else [body]
        self.server.posts.append(events)
        if answer is None:
            self.close_connection = True
            return
        (status, headers, content) = answer
        self._respond(status, json.dumps(content).encode(), headers)

    def _respond(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving() -> Iterator[Pages]:
    """Yield a site on a free port."""
    with Pages() as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            yield pages
        finally:
            pages.shutdown()
            thread.join()
