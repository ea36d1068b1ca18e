"""Environment variables that Kubernetes derives from the names of services."""

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


_KINDS = (
    (re.compile(r"_SERVICE_HOST"), _is_address),
    (re.compile(r"_SERVICE_PORT(_[A-Z0-9_]+)?"), _NUMBER.fullmatch),
    (re.compile(r"_PORT(_[0-9]+_(TCP|UDP|SCTP))?"), _URL.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT"), _NUMBER.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO"), _PROTOCOL.fullmatch),
    (re.compile(r"_PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR"), _is_address),
)


def is_of_a_service(name: str, value: str) -> bool:
    """Return True for a variable such as `HEADRACE_API_PORT=tcp://10.0.0.1:8080`.

    The value decides, too: `HEADRACE_PORT=8080` is a misspelt setting.
    """
    return any(re.search(f"{kind.pattern}$", name) and fits(value.strip()) for kind, fits in _KINDS)
