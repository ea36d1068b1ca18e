"""The address that batches are sent to, made of the one that `--to` gives, byte for byte."""

import re
from typing import NamedTuple

from yarl import URL

_BATCH_PATH = "/api/events"
_URL = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#]+)(?P<path>[^?#]*)(?P<query>\?[^#]*)?")
_PLACE = re.compile(r"(?:[^@\[\]]*@)?(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:@]+)(?::[0-9]{1,5})?")
_PRINTABLE = re.compile(r"[!-~]+")


class Endpoint(NamedTuple):
    """Where to send a batch, and how messages show it: without a password."""

    url: URL
    shown: str


def endpoint(base: str) -> Endpoint:
    """Return the endpoint of a headrace: `/api/events` after the path, before the query.

    Nothing else of the address changes. ValueError for what is no `http://` or `https://` address.
    """
    if not _PRINTABLE.fullmatch(base):
        raise ValueError("it must be of ASCII characters without spaces, others percent-encoded")
    parts = _URL.fullmatch(base)
    if parts is None or not _PLACE.fullmatch(parts["place"]):
        raise ValueError("it is no address such as http://127.0.0.1:8080, without #")
    # Who copies the address of the API means the same server.
    path = re.sub(r"/api/events?/?$", "", parts["path"]).removesuffix("/")
    target = f"{path}{_BATCH_PATH}{parts['query'] or ''}"
    place = parts["place"]
    url = URL.build(scheme=parts["scheme"], authority=place, path=target, encoded=True)
    if not url.raw_host or url.port == 0:
        raise ValueError("it has no host, or no port that can be reached")
    shown = f"{parts['scheme']}://{place.rpartition('@')[2]}{path}"
    return Endpoint(url, shown)
