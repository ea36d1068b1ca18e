"""The URL that batches are sent to, derived from `--to`."""

import re
from typing import NamedTuple

from yarl import URL

_BATCH_PATH = "/api/events"
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>[^?#]*)(?P<query>\?[^#]*)?")
_AUTHORITY = re.compile(r"(?:[^@\[\]]*@)?(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:@]+)(?::[0-9]{1,5})?")
_PRINTABLE = re.compile(r"[!-~]+")


class Endpoint(NamedTuple):
    """The URL for batches, and the address to show in messages, without a password."""

    url: URL
    shown: str


def endpoint(base: str) -> Endpoint:
    """Return the endpoint of a server: `/api/events` is appended to the path.

    The rest of the URL is preserved byte for byte. Raises ValueError if it is not an `http://` or
    `https://` URL.
    """
    if not _PRINTABLE.fullmatch(base):
        raise ValueError("it must be ASCII without spaces; percent-encode other characters")
    parts = _URL.fullmatch(base)
    if parts is None or not _AUTHORITY.fullmatch(parts["authority"]):
        raise ValueError("it must be an address such as http://127.0.0.1:8080, without #")
    # The URL of the API itself is accepted as well.
    path = re.sub(r"/api/events?/?$", "", parts["path"]).removesuffix("/")
    target = f"{path}{_BATCH_PATH}{parts['query'] or ''}"
    authority = parts["authority"]
    url = URL.build(scheme=parts["scheme"], authority=authority, path=target, encoded=True)
    if not url.raw_host or url.port == 0:
        raise ValueError("it has no host, or an invalid port")
    shown = f"{parts['scheme']}://{authority.rpartition('@')[2]}{path}"
    return Endpoint(url, shown)
