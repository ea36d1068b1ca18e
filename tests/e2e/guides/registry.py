"""A read-only schema registry: serves the schemas of headrace under their ids."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

from schemas.codec import SCHEMA_FILES


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Respond to Confluent's `/schemas/ids/ID`, and Apicurio's `/ids/contentIds/ID`."""
        path = self.path.partition("?")[0]
        (*_, schema_id) = path.removesuffix("/references").split("/")
        file = SCHEMA_FILES.get(int(schema_id)) if schema_id.isdigit() else None
        if file is None:
            self._respond(404, json.dumps({"error_code": 40403, "message": "Schema not found"}))
            return
        schema = files("schemas").joinpath("avro", file).read_text("utf-8")
        if path.endswith("/references"):
            schema = "[]"
        self._respond(200, schema if "contentIds" in path else json.dumps({"schema": schema}))

    def _respond(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        """Log nothing."""


@contextmanager
def running_registry() -> Iterator[str]:
    """Yield the address of a registry, `host:port`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
