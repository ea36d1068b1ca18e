from typing import Any

import pytest

from schemas.records import ImportWindow
from tests.component.query_api.conftest import Role

_PATH = "/api/sites/shop/import-windows/mine"


async def test_a_window_is_opened_and_closed(role: Role) -> None:
    """Both requests are idempotent."""
    async with role.client(await role.token("shop")) as client:
        opened = await client.put(_PATH, json={"seconds": 60})
        record = role.windows.records["shop:mine"]
        closings = [await client.delete(_PATH) for _ in range(2)]
        closed = [closing.status_code for closing in closings]

    assert isinstance(record, ImportWindow)
    assert record.ends_at - record.updated_at == 60_000_000
    assert opened.json().keys() == {"site_id", "window_id", "ends_at"}
    assert (opened.status_code, closed) == (200, [204, 204])
    assert not any("content-type" in closing.headers for closing in closings)
    assert role.windows.records == {"shop:mine": None}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (_PATH, {}, "seconds"),
        (_PATH, {"seconds": 0}, "seconds"),
        (_PATH, {"seconds": 86_401}, "seconds"),
        (_PATH, {"seconds": True}, "seconds"),
        (_PATH, {"seconds": "60"}, "seconds"),
        (_PATH, {"seconds": 60, "minutes": 1}, "minutes"),
        ("/api/sites/shop/import-windows/no:name", {"seconds": 60}, "window_id"),
        ("/api/sites/no%20site/import-windows/mine", {"seconds": 60}, "site_id"),
    ],
)
async def test_an_invalid_field_is_reported(
    role: Role, path: str, body: dict[str, Any], field: str
) -> None:
    """Nothing is written to the topic."""
    async with role.client(await role.token()) as client:
        answer = await client.put(path, json=body)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert role.windows.records == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_window_requires_the_scope_manage_for_the_site(role: Role, method: str) -> None:
    """Not `read`, and not for another site."""
    codes = []
    for token in (await role.read_token("shop"), await role.token("blog")):
        async with role.client(token) as client:
            answer = await client.request(method, _PATH, json={"seconds": 60})
            codes.append((answer.status_code, answer.json()["code"]))

    assert codes == [(403, "manage_required"), (403, "forbidden")]
    assert role.windows.records == {}


async def test_a_kafka_outage_is_reported(role: Role) -> None:
    """With 503."""
    role.windows.is_unavailable = True
    async with role.client(await role.token()) as client:
        answer = await client.put(_PATH, json={"seconds": 60})

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
