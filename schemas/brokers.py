"""Parsing of broker lists: `host:port`, separated by commas. No I/O."""

import re
from ipaddress import IPv6Address

_MAX_PORT = 65_535
_DEFAULT_PORT = 9_092
_SEPARATOR = re.compile(r"[;\s|]")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_BROKER = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[^:\[\]]+))(?::(?P<port>.*))?"
)


def parse_brokers(text: str) -> tuple[tuple[str, int], ...]:
    """Return the host and port of each broker, IPv6 addresses without brackets.

    Spaces around an entry and a trailing comma are accepted. The default port is 9092.
    Raises ValueError with the invalid entry and the expected form.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) > 1 and not entries[-1]:
        entries.pop()
    return tuple(_broker(entry) for entry in entries)


def normalize_brokers(text: str) -> str:
    """Return the list in the form of Kafka clients: `host:port,[v6]:port`, without spaces."""
    return ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in parse_brokers(text)
    )


def _broker(entry: str) -> tuple[str, int]:
    if not entry:
        raise ValueError("names no broker, or has an extra comma: write host:port,host:port")
    if "://" in entry:
        raise ValueError(f"has a scheme, {entry.partition('://')[0]}://: write only host:port")
    if entry[0] in "\"'`" or entry[-1] in "\"'`":
        raise ValueError(f"has quotes around {entry}: write host:port without them")
    if "@" in entry or "/" in entry:
        raise ValueError("has an entry that is not a broker: write only host:port")
    if _SEPARATOR.search(entry):
        raise ValueError(f"must separate brokers by commas: {entry!r} is not one host:port")
    match = _BROKER.fullmatch(entry)
    if match is None:
        raise ValueError(
            f"has the entry {entry}, which is not host:port; write an IPv6 address in [ ]"
        )
    host, port = match["v6"] or match["name"], match["port"]
    if not (_is_host(host) if match["name"] else _is_v6(host)):
        raise ValueError(f"has the entry {entry}, whose host is not a name or address")
    if port is None:
        return host, _DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= _MAX_PORT):  # noqa: PLR2004
        raise ValueError(
            f"has the entry {entry}, whose port is not a number from 1 to {_MAX_PORT:,}"
        )
    return host, int(port)


def _is_host(host: str) -> bool:
    labels = host.rstrip(".").split(".")
    return bool(_HOST.fullmatch(host)) and all(0 < len(label) <= 63 for label in labels)  # noqa: PLR2004


def _is_v6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
