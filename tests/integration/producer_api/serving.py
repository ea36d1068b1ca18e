"""Runs the role `api` as a process."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from headrace.local.broker.ports import free_port
from tests.fixtures.waiting import eventually

RUN = """
import logging, sys
from producer_api.http.server import serve
from schemas.settings import load_settings
logging.basicConfig(level=logging.INFO)
sys.exit(serve(load_settings()))
"""

#: By default, each client loads all certificate authorities, although it uses no TLS.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Role:
    """A running role `api`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> socket.socket:
        """Return a raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def client(self) -> httpx.Client:
        """Return a client with its own connections."""
        return httpx.Client(base_url=self.url, verify=_NO_AUTHORITIES)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request on a new connection."""
        with self.client() as client:
            return client.request(method, path, **options)

    def connections(self) -> list[str]:
        """Return the TCP state of each connection to this port."""
        return [
            one.status
            for one in psutil.Process(self.process.pid).net_connections("tcp")
            if one.laddr.port == self.port and one.status != psutil.CONN_LISTEN
        ]

    def term(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def running(kafka: str, folder: Path, program: str = RUN, **settings: str) -> Iterator[Role]:
    """Run the role, or another program, until the block ends."""
    port = free_port()
    log = folder / f"api-{port}.log"
    environment = {
        **os.environ,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_API__PORT": str(port),
        "HEADRACE_API__SITES": "open",
        **{f"HEADRACE_API__{name}": value for name, value in settings.items()},
    }
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=output)
    role = Role(process, port, log)
    try:
        eventually(
            lambda: responds_ok(role, "/healthz"), within_seconds=20, what="the role listens"
        )
        yield role
    finally:
        process.kill()
        process.wait()


def responds_ok(role: Role, path: str) -> bool:
    """Return True if a GET of the path returns 200."""
    try:
        return role.request("GET", path, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
