"""Ignores the `Upgrade` header.

httptools stops at an upgrade: a request with `Upgrade: h2c`, which Java's client sends, would lose
its body, and the connection all later requests. Such a request is parsed again without the header.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class UpgradeIgnoringParser:
    """The parser of httptools for uvicorn's protocol, except that upgrades are ignored."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._reset()

    def _reset(self) -> None:
        parser = self._parser = _new_parser(self._protocol)
        # The methods that uvicorn calls, up to ten times a request; a lookup each time costs 2 us.
        self.get_method = parser.get_method
        self.get_http_version = parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive
        self.should_upgrade = parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Parse a chunk."""
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                if not self.will_reparse():
                    raise
                rest = rest[upgrade.args[0] :]
                head = self._head_without_upgrade()
                self._reset()
                self._parser.feed_data(head)
            else:
                return

    def will_reparse(self) -> bool:
        """Return True if the current request will be parsed again without its upgrade."""
        # CONNECT cannot be ignored.
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
    # As in uvicorn: data after a request with `Connection: close` is not an error.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
