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
        """Respond to `/schemas/ids/ID`."""
        (*_, schema_id) = self.path.partition("?")[0].split("/")
        file = SCHEMA_FILES.get(int(schema_id)) if schema_id.isdigit() else None
        body = {"error_code": 40403, "message": "Schema not found"}
        if file is not None:
            body = {"schema": files("schemas").joinpath("avro", file).read_text("utf-8")}
        self.send_response(404 if file is None else 200)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

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
