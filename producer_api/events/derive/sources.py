"""Traffic sources: the names of `sources.toml` for referrers and for `utm_source`."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from msgspec import Struct

from producer_api.events.derive.domains import registrable_domain
from schemas.urls import location_of

_DATA = "sources.toml"
#: `google-ads`, `fb_ad`, `ytads`: a name of a source, and that its traffic is paid.
_PAID_NAME = re.compile(r"(.+?)[-_ ]?ads?")
#: These are paid, although they do not end in "ads".
_PAID_NAMES = frozenset({"adwords"})
#: What GA4 calls the source of visitors without one.
_NO_SOURCES = frozenset({"", "(direct)", "(none)", "(not set)"})
#: The sources of click ids, used if the event names no source; the most reliable first.
CLICK_SOURCES = {
    **dict.fromkeys(("gclid", "gbraid", "wbraid", "dclid"), "Google"),
    "msclkid": "Bing",
    "yclid": "Yandex",
    "fbclid": "Facebook",
    "igshid": "Instagram",
    "ttclid": "TikTok",
    "twclid": "X",
    "li_fat_id": "LinkedIn",
    "rdt_cid": "Reddit",
    "epik": "Pinterest",
    "sccid": "Snapchat",
}
#: Click ids of search advertising.
PAID_SEARCH_CLICKS = frozenset({"gclid", "gbraid", "wbraid", "msclkid", "yclid"})


class Source(Struct, frozen=True, gc=False):
    """A traffic source; `kind` is its table in `sources.toml`, empty if it is not listed."""

    name: str
    kind: str = ""
    is_paid: bool = False


class _List(Struct, frozen=True):
    """The sources of `sources.toml` by their names, hosts and domains under any suffix."""

    names: dict[str, Source]
    hosts: dict[str, Source]
    labels: dict[str, Source]


@cache
def listed() -> _List:
    """Return the sources of `sources.toml`."""
    found = _List({}, {}, {})
    text = files(__package__).joinpath(_DATA).read_text("utf-8")
    for kind, sources in tomllib.loads(text).items():
        for name, tokens in sources.items():
            source = Source(name, kind)
            found.names[name.lower()] = source
            for token in tokens:
                if token.endswith(".*"):
                    found.labels[token.removesuffix(".*")] = source
                else:
                    (found.hosts if "." in token else found.names)[token] = source
    return found


def source_of_host(host: str) -> Source:
    """Return the source of a referrer's host; the host without `www.` if it is not listed."""
    sources = listed()
    for domain in _parents(host):
        if source := sources.hosts.get(domain):
            return source
    bare = host.removeprefix("www.")
    domain = bare.removeprefix("m.")
    source = sources.labels.get(domain.partition(".")[0])
    return source if source and domain == registrable_domain(host) else Source(bare)


def source_of_name(text: str) -> Source | None:
    """Return the source that `utm_source` names: a name, a host or a URL; None for none."""
    name = text.strip()
    lower = name.lower()
    if lower in _NO_SOURCES:
        return None
    names = listed().names
    if source := names.get(lower):
        return _paid(source) if lower in _PAID_NAMES else source
    if (match := _PAID_NAME.fullmatch(lower)) and (source := names.get(match[1])):
        return _paid(source)
    if "." in name and " " not in name and (host := location_of(name).host):
        source = source_of_host(host)
        return source if source.kind else Source(name)
    return Source(name)


def _paid(source: Source) -> Source:
    return Source(source.name, source.kind, is_paid=True)


def _parents(host: str) -> Iterator[str]:
    """Yield the host and its parent domains, without the top-level domain."""
    while "." in host:
        yield host
        host = host.partition(".")[2]
