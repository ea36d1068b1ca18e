"""The address that `headrace up` prints opens the page, and its streams are updated."""

import json
import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PAYMENT = {
    "type": "payment",
    "site_id": "my-site",
    "session_id": "s1",
    "path": "/pay",
    "amount": 5,
    "currency": "EUR",
}


def test_the_address_on_the_screen_opens_the_streams(make_stack: MakeStack) -> None:
    """Without its token requests get 401; with it, events and alerts appear at once."""
    stack = make_stack({})
    address = _address(stack)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(address, timeout=5) as page:
        assert page.url == stack.url + "/"
        assert b"<title>headrace</title>" in page.read()
    own = f"{stack.url}/api/sites/my-site"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{own}/live", timeout=5)  # noqa: S310 - ours
    assert refused.value.code == 401

    with (
        browser.open(f"{own}/live/stream", timeout=15) as live,
        browser.open(f"{own}/alerts/stream", timeout=15) as alerts,
    ):
        assert _next(live)["sessions_now"] == 0
        assert stack.post(PAYMENT)[0] == 202
        shown = _next(live)
        assert (shown["sessions_now"], shown["visitors_now"]) == (1, 1)
        assert shown["events_last_minute"] == {"payment": 1}
        assert stack.post({**PAYMENT, "type": "pageview"})[0] == 202
        assert _next(live)["pages"] == [{"path": "/pay", "sessions": 1}]
        assert _next(alerts)["rule"] == "payment"

    owner_file = stack.data_dir / "owner.token"
    assert owner_file.stat().st_mode & 0o777 == 0o600
    assert stack.stop() == 0
    stack.start()
    assert _address(stack) == address
    eventually(
        lambda: json.load(browser.open(f"{own}/live", timeout=5))["sessions_now"] == 1,
        within_seconds=15,
        what="the numbers are restored",
    )


def _address(stack: Stack) -> str:
    addresses = re.findall(r"http://\S+\?access_token=\S+", stack.screen)
    assert len(addresses) == 1
    address: str = addresses[0]
    return address


def _next(stream: object) -> dict[str, object]:
    for line in stream:  # type: ignore[attr-defined]
        if line.startswith(b"data: "):
            message: dict[str, object] = json.loads(line[6:])
            return message
    raise AssertionError("the stream has ended")
