import pytest

from tests.component.query_api.conftest import Role

NEW = {"site_id": "shop", "rule": "payment"}


async def test_the_lifecycle_of_a_subscription(role: Role) -> None:
    """Create, list, get, update, test, resend and delete; only the first returns the secret."""
    async with role.client(await role.token("shop")) as client:
        made = await client.post("/api/subscriptions", json=NEW)
        name = made.json()["subscription_id"]
        one = f"/api/subscriptions/{name}"
        listed = (await client.get("/api/subscriptions")).json()["items"]
        changed = await client.patch(one, json={"cooldown_seconds": 60})
        shown = (await client.get(one)).json()
        tested = await client.post(f"{one}/test")
        deliveries = await client.get(f"{one}/deliveries?limit=5")
        again = await client.post(f"{one}/deliveries/{name}/resend")
        deleted = await client.delete(one)
        gone = await client.get(one)

    assert (made.status_code, made.json()["secret"]) == (201, "whsec_x")
    assert [found["subscription_id"] for found in listed] == [name]
    assert (changed.status_code, shown["cooldown_seconds"]) == (200, 60)
    assert "secret" not in shown
    assert (tested.status_code, again.status_code) == (202, 202)
    assert deliveries.json() == {"items": [], "next_cursor": None}
    assert (deleted.status_code, deleted.content, gone.status_code) == (204, b"", 404)


@pytest.mark.parametrize("path", ["", "/{id}/deliveries"])
async def test_its_lists_have_the_usual_parameters(role: Role, path: str) -> None:
    """An invalid time is reported."""
    async with role.client(await role.token("shop")) as client:
        made = (await client.post("/api/subscriptions", json=NEW)).json()
        address = f"/api/subscriptions{path.format(id=made['subscription_id'])}"
        good = await client.get(f"{address}?limit=5&from=2026-01-31T12:00:00Z&to=2026-02-01")
        bad = await client.get(f"{address}?from=yesterday")

    assert good.status_code == 200
    assert (bad.status_code, bad.json()["field"]) == (400, "from")


async def test_subscriptions_of_another_site_are_not_accessible(role: Role) -> None:
    """By any path, nor in the list."""
    async with role.client(await role.token()) as client:
        name = (await client.post("/api/subscriptions", json=NEW)).json()["subscription_id"]
    one = f"/api/subscriptions/{name}"
    async with role.client(await role.token("blog")) as client:
        answers = [
            await client.post("/api/subscriptions", json=NEW),
            await client.get("/api/subscriptions?site_id=shop"),
            await client.get(one),
            await client.patch(one, json={}),
            await client.delete(one),
            await client.post(f"{one}/test"),
            await client.get(f"{one}/deliveries"),
            await client.post(f"{one}/deliveries/{name}/resend"),
        ]
        listed = (await client.get("/api/subscriptions")).json()["items"]

    assert {answer.status_code for answer in answers} == {403}
    assert listed == []
    assert name in role.service.subscriptions


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"site_id": "shop", "rule": "nonsense"}', 400, "invalid_field"),
        (b'{"rule": "payment"}', 400, "bad_site_id"),
        (b'{"site_id": ["shop"]}', 400, "bad_site_id"),
        (b"", 400, "invalid_json"),
        (b"[]", 400, "not_an_object"),
        (b"{", 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"[" * 60_000, 400, "invalid_json"),
        (b" " * 70_000, 413, "body_too_large"),
    ],
)
async def test_an_invalid_body_is_rejected(role: Role, body: bytes, status: int, code: str) -> None:
    """With a specific code."""
    async with role.client(await role.token()) as client:
        answer = await client.post("/api/subscriptions", content=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("site", ["%00", "a%20b", "", "a" * 65])
async def test_a_list_of_an_invalid_site_is_rejected(role: Role, site: str) -> None:
    """PostgreSQL rejects some of these strings."""
    async with role.client(await role.token()) as client:
        answer = await client.get(f"/api/subscriptions?site_id={site}")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_site_id")


async def test_an_unknown_subscription_is_not_found(role: Role) -> None:
    """Nor one with a malformed id."""
    async with role.client(await role.token()) as client:
        answers = [
            await client.get("/api/subscriptions/00000000-0000-4000-8000-000000000000"),
            await client.get("/api/subscriptions/x"),
            await client.get("/api/subscriptions/%00"),
        ]

    assert {answer.status_code for answer in answers} == {404}


async def test_a_kafka_outage_is_reported(role: Role) -> None:
    """With 503 and Retry-After."""
    role.service.is_unavailable = True
    async with role.client(await role.token()) as client:
        answer = await client.post("/api/subscriptions", json=NEW)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
