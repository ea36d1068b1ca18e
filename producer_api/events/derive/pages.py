"""The parts of the URLs of a page and its referrer: host, path, campaign and click ids."""

from urllib.parse import unquote_plus

from msgspec import Struct

from producer_api.events.derive.privacy import CLICK_IDS, mask_emails, without_click_ids
from schemas.records import Utm
from schemas.urls import location_of

#: The parameters of the fields of `utm`; `source` and `ref` are also names of the source.
_UTM = ("utm_source", "source", "ref", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_NO_UTM = Utm()
_READ = CLICK_IDS.union(_UTM)
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
    if path is None or "?" not in url or not (parameters := _parameters(url)):
        return Page(url, url, host, path)
    click_ids = {name: value for name, value in parameters.items() if name in CLICK_IDS}
    return Page(
        url,
        without_click_ids(url) if click_ids else url,
        host,
        path,
        _utm(parameters),
        click_ids or None,
    )


def _parameters(url: str) -> dict[str, str]:
    """Return the parameters that are read; names are in lower case, and the first of each wins."""
    query = url.partition("#")[0].partition("?")[2]
    parameters: dict[str, str] = {}
    for parameter in query.split("&"):
        (name, _, value) = parameter.partition("=")
        name = _decoded(name).lower()
        if name in _READ and name not in parameters:
            text = _decoded(value).strip().replace("\0", "\ufffd")[:_MAX_CHARACTERS]
            if text:
                parameters[name] = text
    return parameters


def _decoded(text: str) -> str:
    # Decoding costs a microsecond, and most texts are not encoded.
    return unquote_plus(text) if "%" in text or "+" in text else text


def _utm(parameters: dict[str, str]) -> Utm | None:
    get = parameters.get
    utm = Utm(
        get("utm_source") or get("source") or get("ref"),
        get("utm_medium"),
        get("utm_campaign"),
        get("utm_term"),
        get("utm_content"),
    )
    return None if utm == _NO_UTM else utm
