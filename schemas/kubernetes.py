"""Environment variables that Kubernetes sets for each service."""

import re
from ipaddress import ip_address

_NUMBER = re.compile(r"[0-9]{1,5}")
_URL = re.compile(r"(?:tcp|udp|sctp)://\S+", re.IGNORECASE)
_PROTOCOL = re.compile(r"tcp|udp|sctp", re.IGNORECASE)


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


_PATTERNS = (
    (re.compile(r"_SERVICE_HOST"), _is_address),
    (re.compile(r"_SERVICE_PORT(_[A-Z0-9_]+)?"), _NUMBER.fullmatch),
    (re.compile(r"_PORT(_[0-9]+_(TCP|UDP|SCTP))?"), _URL.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT"), _NUMBER.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO"), _PROTOCOL.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR"), _is_address),
)


def is_service_variable(name: str, value: str) -> bool:
    """Return True for a service variable such as `HEADRACE_API_PORT=tcp://10.0.0.1:8080`.

    The value must match, too: `HEADRACE_PORT=8080` is a misspelt setting.
    """
    return any(
        re.search(f"{pattern.pattern}$", name) and matches(value.strip())
        for pattern, matches in _PATTERNS
    )
