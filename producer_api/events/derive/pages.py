"""What the URL of a page and of its referrer say: host, path, campaign and click ids."""

from urllib.parse import parse_qsl

from msgspec import Struct

from producer_api.events.derive.privacy import CLICK_IDS, mask_emails, without_click_ids
from schemas.records import Utm
from schemas.urls import location_of

#: The parameters of each field of `utm`, the most specific first.
_UTM = {
    "source": ("utm_source", "source", "ref"),
    "medium": ("utm_medium",),
    "campaign": ("utm_campaign",),
    "term": ("utm_term",),
    "content": ("utm_content",),
}
_MAX_CHARACTERS = 512


class Page(Struct, frozen=True, gc=False):
    """A URL as it is stored, with and without click ids, and its parts."""

    url: str
    anonymous_url: str
    host: str | None = None
    path: str | None = None
    utm: Utm | None = None
    click_ids: dict[str, str] | None = None


NO_PAGE = Page("", "")


def read_page(url: str, *, masks_emails: bool) -> Page:
    """Return the parts of a URL; masks e-mail addresses in its query on request."""
    if masks_emails:
        url = mask_emails(url)
    (host, path) = location_of(url)
    if path is None or "?" not in url:
        return Page(url, url, host, path)
    parameters = _parameters(url)
    utm = {field: _first(parameters, names) for field, names in _UTM.items()}
    click_ids = {name: value for name, value in parameters.items() if name in CLICK_IDS}
    return Page(
        url,
        without_click_ids(url) if click_ids else url,
        host,
        path,
        Utm(**utm) if any(utm.values()) else None,
        click_ids or None,
    )


def _parameters(url: str) -> dict[str, str]:
    """Return the parameters of the query; names are in lower case, and the first of each wins."""
    query = url.partition("#")[0].partition("?")[2]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, errors="replace"):
        text = value.strip().replace("\0", "\ufffd")[:_MAX_CHARACTERS]
        if text:
            parameters.setdefault(name.lower(), text)
    return parameters


def _first(parameters: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((parameters[name] for name in names if name in parameters), None)
