"""Requests that ask for another protocol: none is taken, so they are read as if they did not ask.

Else a request with `Upgrade: h2c`, as Java's client sends, would lose its body, and the
connection all that comes after. Such a request is parsed anew, without its upgrade.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class UpgradeIgnoringParser:
    """httptools' parser for uvicorn's protocol, but not stopped by an upgrade."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._renew()

    def _renew(self) -> None:
        parser = self._parser = _new_parser(self._protocol)
        # All that uvicorn asks for, up to ten times a request: to find them anew costs 2 us.
        self.get_method = parser.get_method
        self.get_http_version = parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive
        self.should_upgrade = parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Parse what has come."""
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                if not self.will_begin_anew():
                    raise
                rest = rest[upgrade.args[0] :]
                head = self._head_without_upgrade()
                self._renew()
                self._parser.feed_data(head)
            else:
                return

    def will_begin_anew(self) -> bool:
        """Return whether the request that is being parsed will be told again."""
        # CONNECT is one that cannot be ignored.
        return bool(self.should_upgrade()) and self.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        version = self.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.get_method(), self._protocol.url, version)]
        for name, value in self._protocol.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                kept = [option for option in options if option.lower() != b"upgrade"]
                lines.append(b"connection: " + b", ".join(kept))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])


def _new_parser(protocol: HttpToolsProtocol) -> Any:
    parser = httptools.HttpRequestParser(protocol)
    # As uvicorn does: what follows a request that closes the connection is no error.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
