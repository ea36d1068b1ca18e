"""Removes e-mail addresses and click ids from URLs."""

import re
from itertools import pairwise
from urllib.parse import unquote

#: Replaces a value of a query that contains an e-mail address.
MASK = "***"
#: Longer URLs are truncated, possibly within an e-mail address.
_MAX_URL = 2048

#: Query parameters in which advertisers identify a click.
CLICK_IDS = frozenset(
    {
        *("gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid"),
        *("li_fat_id", "yclid", "rdt_cid", "epik", "sccid", "igshid", "irclickid"),
    }
)

#: An `@`, percent-encoded up to twice.
_AT = re.compile(r"@|%40|%2540", re.IGNORECASE)
#: What ends an e-mail address on the left, and cannot be in its domain.
_DELIMITERS = " \t\r\n@/,;:<>()\"'"
_DOMAIN = re.compile(
    rf"[^{_DELIMITERS}]+\.(?:xn--[a-z0-9-]+|[^\W\d_]{{2,}})(?![\w-])", re.IGNORECASE
)
_VALUE = re.compile(r"[^?#&;=]+")


def mask_emails(url: str) -> str:
    """Replace values with an e-mail address in the query and the fragment of a URL."""
    # Searching one character costs a tenth of the pattern.
    if "@" not in url and not ("%" in url and _AT.search(url)):
        return url
    start = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    is_truncated = len(url) >= _MAX_URL

    def mask(value: re.Match[str]) -> str:
        text = unquote(unquote(value[0].replace("+", " ")))
        is_cut = is_truncated and value.end() == len(url) - start and "@" in text
        return MASK if is_cut or _has_email(text) else value[0]

    return url[:start] + _VALUE.sub(mask, url[start:])


def _has_email(text: str) -> bool:
    """Return True if there is a name before an at sign, and a domain after it."""
    return any(
        name and name[-1] not in _DELIMITERS and _DOMAIN.match(rest)
        for name, rest in pairwise(text.split("@"))
    )


def without_click_ids(url: str) -> str:
    """Remove the click ids from the query of a URL."""
    (address, has_fragment, fragment) = url.partition("#")
    (page, has_query, query) = address.partition("?")
    if not has_query:
        return url
    parameters = query.split("&")
    kept = [part for part in parameters if _name(part) not in CLICK_IDS]
    if len(kept) == len(parameters):
        return url
    rest = f"?{'&'.join(kept)}" if kept else ""
    return f"{page}{rest}{has_fragment}{fragment}"


def _name(parameter: str) -> str:
    return unquote(parameter.partition("=")[0]).lower()
