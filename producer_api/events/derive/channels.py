"""Channels: the default channel groups of GA4, in the order that Plausible publishes.

`RULES` is the list; the first rule that applies wins.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from producer_api.events.derive.domains import registrable_domain
from producer_api.events.derive.sources import (
    CLICK_SOURCES,
    PAID_SEARCH_CLICKS,
    Source,
    listed,
    source_of_host,
    source_of_name,
)

DIRECT = "Direct"

_PAID_MEDIUM = re.compile(r".*cp.*|ppc|retargeting|paid.*", re.DOTALL)
_SHOPPING_CAMPAIGN = re.compile(r"(?:[^a-df-z]|^)shop|shopping")
_DISPLAY = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL = frozenset(
    {"social", "social-network", "social-media", "sm", "social network", "social media"}
)
_EMAIL = ("email", "e-mail", "e_mail", "e mail", "newsletter")
_REFERRAL = frozenset({"referral", "app", "link"})


class Visitor(Struct, frozen=True, gc=False):
    """How a visitor came to the site. Texts are in lower case, and empty if absent.

    It does not contain the source's name, so that visitors from many referrers are equal.
    """

    has_source: bool = False
    kind: str = ""
    utm_source: str = ""
    medium: str = ""
    campaign: str = ""
    #: The name of a click id of the source.
    click: str = ""
    is_paid_source: bool = False

    @property
    def has_paid_medium(self) -> bool:
        """Whether the medium is that of an advertisement."""
        return _PAID_MEDIUM.fullmatch(self.medium) is not None

    @property
    def is_paid(self) -> bool:
        """Whether the medium or the name of the source is that of an advertisement."""
        return self.is_paid_source or self.has_paid_medium

    @property
    def is_shopping(self) -> bool:
        """Whether the source is a shop, or the campaign is one for a shop."""
        return self.kind == "shopping" or _SHOPPING_CAMPAIGN.search(self.campaign) is not None

    @property
    def is_mail(self) -> bool:
        """Whether the source is a mail service, or a name says that it was a mail."""
        names = (self.utm_source, self.medium)
        return self.kind == "mail" or any(tag in name for tag in _EMAIL for name in names)

    @property
    def is_push(self) -> bool:
        """Whether the visitor came by a notification."""
        medium = self.medium
        return (
            medium.endswith("push")
            or "mobile" in medium
            or "notification" in medium
            or self.utm_source == "firebase"
        )


RULES: tuple[tuple[str, Callable[[Visitor], bool]], ...] = (
    ("Cross-network", lambda v: "cross-network" in v.campaign or v.medium == "cross-network"),
    ("Paid Shopping", lambda v: v.is_shopping and v.has_paid_medium),
    ("Paid Search", lambda v: v.kind == "search" and (v.is_paid or v.click in PAID_SEARCH_CLICKS)),
    ("Paid Social", lambda v: v.kind == "social" and v.is_paid),
    ("Paid Video", lambda v: v.kind == "video" and v.is_paid),
    ("Display", lambda v: v.medium in _DISPLAY),
    ("Paid Other", lambda v: v.has_paid_medium),
    ("Organic Shopping", lambda v: v.is_shopping),
    ("Organic Social", lambda v: v.kind == "social" or v.medium in _SOCIAL),
    ("Organic Video", lambda v: v.kind == "video" or "video" in v.medium),
    ("AI Assistants", lambda v: v.kind == "ai"),
    ("Organic Search", lambda v: v.kind == "search" or v.medium == "organic"),
    ("Email", lambda v: v.is_mail),
    ("Affiliates", lambda v: v.medium == "affiliate"),
    ("Audio", lambda v: v.medium == "audio"),
    ("SMS", lambda v: "sms" in (v.utm_source, v.medium)),
    ("Mobile Push Notifications", lambda v: v.is_push),
    ("Referral", lambda v: v.has_source or v.medium in _REFERRAL),
)


#: `utm_source`, `utm_medium` and `utm_campaign`.
Campaign = tuple[str | None, str | None, str | None]
NO_CAMPAIGN: Campaign = (None, None, None)


class Attribution(Struct, frozen=True, gc=False):
    """The source of a visitor, None if direct, and the channel."""

    source: str | None
    channel: str


def attribute(
    campaign: Campaign, click: str | None, referrer_host: str | None, site_host: str | None
) -> Attribution:
    """Return the source and the channel: of the campaign, else of the referrer or the click id.

    `click` is the name of a click id.
    """
    source = source_of_name(campaign[0]) if campaign[0] else None
    if source is None and referrer_host and not is_own(referrer_host, site_host):
        source = source_of_host(referrer_host)
    if source is None and click is not None:
        source = listed().names[CLICK_SOURCES[click].lower()]
    channel = channel_of(_visitor(campaign, click or "", source))
    return Attribution(source.name if source else None, channel)


@lru_cache(10_000)
def channel_of(visitor: Visitor) -> str:
    """Return the channel of the first rule that applies."""
    return next((name for name, applies in RULES if applies(visitor)), DIRECT)


def is_own(referrer_host: str, site_host: str | None) -> bool:
    """Return True if the referrer is of the site itself: of the same registrable domain."""
    if site_host is None or referrer_host == site_host:
        return site_host is not None
    domain = registrable_domain(site_host)
    # The first comparison spares nearly all other referrers the search of their domain.
    return referrer_host.endswith(domain) and registrable_domain(referrer_host) == domain


def _visitor(campaign: Campaign, click: str, source: Source | None) -> Visitor:
    (utm_source, medium, name) = map(_lower, campaign)
    if source is None:
        return Visitor(utm_source=utm_source, medium=medium, campaign=name)
    click = click if click and CLICK_SOURCES[click] == source.name else ""
    return Visitor(True, source.kind, utm_source, medium, name, click, source.is_paid)


def _lower(text: str | None) -> str:
    return text.strip().lower() if text else ""
