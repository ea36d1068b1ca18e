"""Hosts of the site itself are not referrers, in any notation."""

import pytest

from schemas.records import Stamped
from streams.domain.sessions.referrers import (
    MAX_HOSTS,
    MAX_SPARE_CHARACTERS,
    external,
    is_external,
    named_hosts,
    own_hosts,
    referrer_host,
    with_hosts,
)
from tests.unit.streams.samples import event

OWN = {"hostname": "shop.example"}


@pytest.mark.parametrize(
    ("referrer", "site"),
    [
        ("https://shop.example/", OWN),
        ("http://SHOP.example:8080/a?b", OWN),
        ("https://www.shop.example/", OWN),
        ("https://shop.example./", OWN),
        ("shop.example/cart", OWN),
        ("//shop.example", OWN),
        ("/cart", OWN),
        ("?page=2", OWN),
        ("https://shop.example/", {"hostname": "WWW.Shop.example:443"}),
        ("https://shop.example/", {"url": "https://www.shop.example/buy"}),
        ("https://shop.example/", {"url": "shop.example/buy"}),
        ("http://localhost:3000/", {"url": "localhost:8080/x"}),
        ("https://pay.example/", {"hostname": "shop.example", "url": "https://pay.example/x"}),
        ("https://bücher.example/", {"hostname": "xn--bcher-kva.example"}),
        ("http://intranet/", {"hostname": "intranet"}),
        ("capacitor://localhost/a", {"url": "capacitor://localhost/b"}),
    ],
)
def test_a_page_of_the_site_is_not_a_referrer(referrer: str, site: dict[str, str]) -> None:
    """With or without `www.`, in any case, with any port and scheme."""
    one = event("a", referrer=referrer, **site)

    assert not is_external(referrer, own_hosts(one))
    assert referrer_host(one, own_hosts(one)) is None


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://search.example/?q=shop.example", "search.example"),
        ("https://shop.example.evil.example/", "shop.example.evil.example"),
        ("https://news.shop.example/", "news.shop.example"),
        ("https://notshop.example/", "notshop.example"),
        ("t.co", "t.co"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("about:client", None),
        ("newsletter", None),
        ("https://[broken", None),
    ],
)
def test_any_other_text_is_a_referrer(referrer: str, host: str | None) -> None:
    """Also without a host; live counters do not show these."""
    one = event("a", referrer=referrer, **OWN)

    assert is_external(referrer, own_hosts(one))
    assert referrer_host(one, own_hosts(one)) == host


def test_the_remembered_hosts_are_bounded() -> None:
    """Whatever hosts the events of a visit contain."""
    many = [f"h{number}.example" for number in range(40)]
    came_from = [Stamped(f"https://{host}/", ts, "") for ts, host in enumerate(many)]
    long = Stamped(f"https://long.example/{'x' * MAX_SPARE_CHARACTERS}", 1, "")

    assert len(with_hosts(with_hosts([], many[:3]), many)) == MAX_HOSTS
    assert external([long, *reversed(came_from)], many[2:3]) == [
        came_from[0],
        *(came_from[index] for index in (1, 3, 4, 5)),
    ]
    assert external([long, *came_from[2:]], many)[:1] == [long]


def test_a_host_is_no_longer_than_a_dns_name() -> None:
    """Session states contain hosts, which could otherwise be as long as a URL."""
    long = "a." * 126 + "bc"
    for host, found in ((long[1:], {long[1:]}), (long, set())):
        one = event("a", url=f"https://{host}/", hostname=host, referrer=f"https://{host}/")
        assert own_hosts(one) == found
        assert referrer_host(one, ()) == (host if found else None)


def test_a_host_is_own_for_referrers_of_at_most_its_trust() -> None:
    """An event of a stranger that names a search engine as its host hides no vouched referrer."""
    named = [*named_hosts(event("a", hostname="search.example"))]
    vouched = [*named_hosts(event("b", hostname="www.shop.example", trust="origin"))]

    assert (named, vouched) == (["search.example"], ["origin:shop.example"])
    hosts = with_hosts(named, vouched)
    external_for = {
        trust: [host for host in ("search.example", "shop.example")
                if is_external(f"https://{host}/", hosts, trust)]
        for trust in ("open", "origin", "key")
    }  # fmt: skip
    assert external_for == {
        "open": [],
        "origin": ["search.example"],
        "key": ["search.example", "shop.example"],
    }


def test_hosts_of_strangers_do_not_displace_vouched_ones() -> None:
    """Whatever arrives first."""
    forged = [f"h{number}.example" for number in range(MAX_HOSTS)]
    vouched = ["key:shop.example", "origin:shop.example"]

    assert set(vouched) <= set(with_hosts(forged, vouched))
    assert set(vouched) <= set(with_hosts(vouched, forged))


@pytest.mark.parametrize("text", ["key:search.example", "origin:a", "key:", "https://key:a@b/"])
def test_nobody_can_name_a_vouched_host_in_a_text(text: str) -> None:
    """The prefixes are no part of any host."""
    one = event("a", hostname=text, url=text)

    assert not any(":" in host for host in named_hosts(one))
