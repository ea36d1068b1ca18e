"""A proxy in front of headrace that loses the response to the first request of each event."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FlakyProxy:
    """The requests that it received, by event id; `url` is its address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: Counter[str] = Counter()


@contextmanager
def flaky_proxy(target: str) -> Iterator[FlakyProxy]:
    """Yield a proxy. It forwards every event, and responds to the first attempt with 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            event_id = json.loads(body)["event_id"]
            proxy.requests[event_id] += 1
            (status, answer) = _forward(f"{target}{self.path}", body)
            if proxy.requests[event_id] == 1:
                (status, answer) = (503, b'{"error":"lost"}')
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy = FlakyProxy(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()


def _forward(url: str, body: bytes) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, body, timeout=15) as response:  # noqa: S310 - ours
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
