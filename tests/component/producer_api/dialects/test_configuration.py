"""What clients for browsers request besides sending events."""

import httpx
import pytest


async def test_rudderstack_detects_no_blocker_of_advertisements(client: httpx.AsyncClient) -> None:
    """Else it reports another page view of every visitor."""
    response = await client.head("/sourceConfig/?view=ad")

    assert (response.status_code, response.content) == (200, b"")


async def test_the_script_of_segment_logs_what_to_do(client: httpx.AsyncClient) -> None:
    """In the console of the page, by the address that the snippet of a proxy has."""
    response = await client.get("/analytics.js/v1/shop/analytics.min.js")

    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "Install the package @segment/analytics-next" in response.text


@pytest.mark.parametrize(
    "target", ["/flags/?mp_lib=web", "/settings/?mp_lib=web", "/decide/?lib=web"]
)
async def test_mixpanel_gets_no_flags_and_no_settings(
    client: httpx.AsyncClient, target: str
) -> None:
    """Its client for browsers logs an error for any other status."""
    response = await client.get(target)

    assert response.status_code == 200
    assert response.json() in ({"flags": {}}, {})
