"""What a request says about its client, and the settings of the site that it sends events to."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import msgspec

from schemas.records import Trust


class Client(msgspec.Struct, frozen=True, gc=False):
    """The client of a request: the input of derivation and access control.

    Never stored or logged. Absent values are empty strings.
    """

    #: Its IP address, through the trusted proxies.
    address: str = ""
    user_agent: str = ""
    #: `Accept-Language`.
    language: str = ""
    origin: str = ""
    #: The site key: the bearer token of `Authorization`.
    key: str = ""
    #: The country that a trusted proxy reports.
    country: str = ""
    #: Whether the request has `Sec-GPC: 1` or `DNT: 1`.
    opts_out: bool = False
    #: Whether `address` is the one that a back end with a site key reports for its visitor.
    is_reported: bool = False
    #: The trace of the request (W3C Trace Context), if traces are enabled.
    traceparent: str = ""
    #: Whether an event of the same request was within the rate limit of the address, and the sites
    #: whose limit one was within. The others count against these limits and are accepted, because
    #: their client would send all of them again.
    is_admitted: bool = False
    admitted_sites: AbstractSet[str] = frozenset()


#: The client of a request without headers: of dry runs, and of tests.
NO_CLIENT = Client()


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """How a site's events are derived and counted."""

    #: Whether events without a `visitor_id` get one that is derived from the request.
    derives_visitors: bool = True
    #: Whether `Sec-GPC` and `DNT` remove ids of visitors and clicks.
    honours_opt_out: bool = True
    #: Whether events of bots are counted.
    counts_bots: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The permission to send an event: who vouches for it, and the site's policy.

    Ids of events are namespaced unless they come from the highest trust that the site has, so
    that nobody can take the id of an event that a site key vouches for.
    """

    trust: Trust
    policy: SitePolicy
    namespaces_ids: bool = False


OPEN_GRANT = Grant("open", SitePolicy())

#: Returns the grant of a client for an event of a site, a type and a URL; raises `Rejected`. It is
#: called once per event, because it also counts the event against the rate limits.
Authorize = Callable[[str, str, str | None, Client], Grant]


#: Raises `Rejected` if the visitor or the user of a site is blocked.
CheckIds = Callable[[str, str | None, str | None], None]


def accept_all_ids(_site_id: str, _visitor_id: str | None, _user_id: str | None) -> None:
    """Accept events of all visitors and users."""


def authorize_all(_site_id: str, _type: str, _url: str | None, _client: Client) -> Grant:
    """Return the grant of sites that are open to everybody."""
    return OPEN_GRANT
