import re

import pytest

from tests.component.sinks.query.conftest import Role


async def test_the_page_brings_all_that_it_shows(role: Role) -> None:
    """Its files are its own, nothing else may be loaded, and no script stands in it."""
    async with role.client() as client:
        page = await client.get("/")
        files = re.findall(r'(?:src|href)="(/[^"]*)"', page.text)
        answers = [await client.get(file) for file in files]
        modules = {name for a in answers for name in re.findall(r'from "\./([^"]*)"', a.text)}
        answers += [await client.get(f"/page/{name}") for name in modules]

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert {answer.status_code for answer in answers} == {200}
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    assert "<style" not in page.text
    assert all("//" not in re.sub(r"http://www\.w3\.org|^\s*//.*$", "", a.text, flags=re.MULTILINE)
               for a in answers)  # fmt: skip


async def test_the_token_in_the_address_becomes_a_cookie(role: Role) -> None:
    """That no script can read and no other site sends; the address is clean afterwards."""
    token = await role.token("shop")
    async with role.client() as client:
        swapped = await client.get("/", params={"access_token": token})
        assert (swapped.status_code, swapped.headers["location"]) == (303, "/")
        cookie = swapped.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        answer = await client.get("/api/sites/shop/live")  # the client keeps cookies

    assert answer.status_code == 200
    assert token not in swapped.headers["location"]


async def test_two_headraces_of_one_host_keep_their_cookies_apart(role: Role) -> None:
    """Cookies know no ports: without it in their names the one opened last would lock the other."""
    shop, till = "http://[::1]:8080", "http://[::1]:9090"
    async with role.client() as client:
        await client.get(shop, params={"access_token": await role.token("shop")})
        await client.get(till, params={"access_token": await role.token("till")})
        answers = [await client.get(f"{shop}/api/sites/{site}/live") for site in ("shop", "till")]
        answers += [await client.get(f"{till}/api/sites/{site}/live") for site in ("shop", "till")]

    assert [answer.status_code for answer in answers] == [200, 403, 403, 200]


async def test_a_wrong_token_gets_no_cookie(role: Role) -> None:
    """The page then says that it needs one."""
    async with role.client() as client:
        answer = await client.get("/", params={"access_token": "hr_x\r\nset-cookie: a=b"})

    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 201), ("http://headrace", 201), ("http://headrace:3000", 403), ("null", 403)],
)
async def test_a_cookie_changes_nothing_from_another_origin(
    role: Role, origin: str | None, status: int
) -> None:
    """Another port of the same host is another origin, though it is the same site for cookies."""
    headers = {"cookie": f"headrace_token={await role.token()}"}
    if origin is not None:
        headers["origin"] = origin
    body = {"site_id": "shop", "rule": "payment"}
    async with role.client() as client:
        answer = await client.post("/api/subscriptions", json=body, headers=headers)

    assert answer.status_code == status
