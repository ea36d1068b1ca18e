"""The paths of registered sites and their keys."""

from typing import Any

import pytest

from schemas.records import Site
from tests.component.query_api.conftest import Role

_SHOP = {"site_id": "shop", "origins": ["https://shop.example"]}
_KEYS = "/api/sites/shop/keys"
_NO_KEY = f"{_KEYS}/0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11"


async def test_a_site_is_registered_listed_changed_and_removed(role: Role) -> None:
    """Each change is in the topic; a registered site is listed before its first visit."""
    async with role.client(await role.token()) as client:
        made = await client.post("/api/sites", json=_SHOP)
        listed = await client.get("/api/sites")
        changed = await client.patch("/api/sites/shop", json={"events_per_second": 10})
        found = await client.get("/api/sites/shop")
        record = role.sites.records["shop"]
        removed = [(await client.delete("/api/sites/shop")).status_code for _ in range(2)]
        gone = await client.get("/api/sites/shop")

    assert (made.status_code, made.json()["keys"]) == (201, [])
    assert listed.json()["items"] == [{"site_id": "shop"}]
    assert changed.json() == found.json()
    assert (found.json()["origins"], found.json()["events_per_second"]) == (_SHOP["origins"], 10)
    assert isinstance(record, Site)
    assert record.events_per_second == 10
    assert (removed, gone.status_code) == ([204, 204], 404)
    assert role.sites.records == {"shop": None}


async def test_keys_are_created_listed_and_revoked(role: Role) -> None:
    """The key itself is only in the response to its creation."""
    async with role.client(await role.token("shop")) as client:
        await client.post("/api/sites", json=_SHOP)
        made = await client.post(_KEYS, json={"name": "till"})
        listed = await client.get(_KEYS)
        revoked = await client.delete(f"{_KEYS}/{made.json()['key_id']}")
        again = await client.delete(f"{_KEYS}/{made.json()['key_id']}")
        left = await client.get(_KEYS)

    key = made.json().pop("key")
    assert (made.status_code, key[:4]) == (201, "hrk_")
    (one,) = listed.json()["items"]
    assert one == {name: made.json()[name] for name in ("key_id", "name", "created_at")}
    assert key not in listed.text
    assert (revoked.status_code, again.status_code) == (204, 404)
    assert left.json() == {"items": [], "next_cursor": None}


_REQUESTS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/sites", _SHOP),
    ("GET", "/api/sites/shop", None),
    ("PATCH", "/api/sites/shop", {}),
    ("DELETE", "/api/sites/shop", None),
    ("POST", _KEYS, {}),
    ("GET", _KEYS, None),
    ("DELETE", _NO_KEY, None),
]


@pytest.mark.parametrize(("method", "path", "body"), _REQUESTS)
async def test_sites_are_managed_with_the_scope_manage_only(
    role: Role, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Reading the rules and keys of a site, too; and only with a token of the site."""
    tokens = {
        None: 401,
        await role.read_token("shop"): 403,
        await role.token("blog"): 403,
    }
    for token, status in tokens.items():
        async with role.client(token) as client:
            response = await client.request(method, path, json=body)
        assert response.status_code == status
    assert role.sites.records == {}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/sites", {}, "site_id"),
        ("/api/sites", {"site_id": "shop", "origins": "https://a.example"}, "origins"),
        ("/api/sites", {"site_id": "shop", "require_key": ["sale"]}, "require_key.0"),
        ("/api/sites", {"site_id": "shop", "owner": "me"}, "owner"),
    ],
)
async def test_invalid_bodies_are_rejected(
    role: Role, path: str, body: dict[str, Any], field: str
) -> None:
    """The error names the field; nothing is written."""
    async with role.client(await role.token()) as client:
        response = await client.post(path, json=body)

    assert (response.status_code, response.json()["field"]) == (400, field)
    assert role.sites.records == {}
