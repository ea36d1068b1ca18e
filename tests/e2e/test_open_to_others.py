"""An address that other machines can reach: nothing can be read without a token."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def test_nothing_is_read_without_a_token_where_others_reach_it(make_stack: MakeStack) -> None:
    """`up` creates no token and prints how to create one; registered sites are accepted."""
    stack = make_stack({}, "--host", "0.0.0.0")  # noqa: S104 - the subject of the test
    event = {"type": "pageview", "site_id": "shop", "session_id": "s"}
    (status, rejection) = stack.post(event)
    assert (status, rejection["code"]) == (403, "unknown_site")
    stack.headrace("sites", "add", "shop")
    eventually(lambda: stack.post(event)[0] == 202, within_seconds=5, what="the site is accepted")
    screen = " ".join(stack.screen.split())
    assert (
        "0.0.0.0 is reachable from other machines, so reading needs a token. "
        "Create one with headrace tokens create" in screen
    )
    assert "Only registered sites are accepted. Register yours with" in screen
    assert "access_token=hr_" not in screen
    assert not (stack.data_dir / "owner.token").exists()

    protected = list(_protected(stack))
    assert len(protected) > 10
    assert {(path, _status(stack, method, path)) for method, path in protected} == {
        (path, 401) for _, path in protected
    }

    token = stack.headrace("tokens", "create", "--all").splitlines()[-1]
    assert _status(stack, "GET", "/api/sites/shop/live", token) == 200


def _protected(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield each method and path of the OpenAPI document that needs a token."""
    with urllib.request.urlopen(f"{stack.url}/openapi.json", timeout=5) as response:  # noqa: S310
        paths = json.load(response)["paths"]
    for template, methods in paths.items():
        if not template.startswith("/api/event"):
            path = template.replace("{site_id}", "shop").replace("{", "").replace("}", "")
            yield from ((method.upper(), path) for method in methods if path.startswith("/api/"))


def _status(stack: Stack, method: str, path: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(stack.url + path, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
