"""Tokens that are missing or wrong, and sites of which nothing is known, on a real stack."""

import pytest

from tests.e2e.page.live_page import LOOKS, LivePage
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def _without_a_past(page: LivePage) -> None:
    """Have a browser that never had a token."""
    everything = {"origin": page.stack.url, "storageTypes": "all"}
    page.chrome.execute_cdp_cmd("Storage.clearDataForOrigin", everything)


def _until(page: LivePage, selector: str, text: str) -> None:
    eventually(
        lambda: text in page.text(selector),
        within_seconds=30,
        what=f"{selector} says {text!r}, not {page.text(selector)!r}",
    )


def _expect_refusals(page: LivePage, *statuses: str) -> None:
    """Take what the browser says of rejected requests; it says nothing else."""
    assert [said for said in page.console() if not any(s in said for s in statuses)] == []


def test_the_token_field_opens_the_site_of_the_address(page: LivePage) -> None:
    """By keyboard alone: the field has the focus; a wrong token and a missing one differ."""
    page.post("fields", "s1")
    page.chrome.get(f"{page.stack.url}/?site=fields&a=%2F")
    _until(page, "#locked", "This page needs a token")
    assert page.text("#locked-why") == ""

    page.enter("hr_wrong")
    _until(page, "#locked-why", "This token is unknown")
    assert page.barriers() == []

    # All of the address, as the screen shows it, is as good as the token.
    page.enter(page.address)
    _until(page, "#state", "Live")
    assert page.chrome.current_url == f"{page.stack.url}/?site=fields&a=%2F"
    assert page.text("#visitors") == "1"
    _expect_refusals(page, "401")


def test_a_wrong_token_in_the_address_is_reported(page: LivePage) -> None:
    """As one that was revoked is; neither stays there, and the site does."""
    revoked = page.token("--site", "gone")
    page.revoke("gone")
    for token, why in (("hr_wrong", "is unknown"), (revoked, "was revoked")):
        page.chrome.get(f"{page.stack.url}/?access_token={token}&site=gone")
        _until(page, "#locked-why", f"The token in the address {why}")
        assert page.chrome.current_url == f"{page.stack.url}/?site=gone"
    _expect_refusals(page, "401")


def test_a_token_that_ends_while_the_page_is_open_is_reported(page: LivePage) -> None:
    """Revoked, or with its cookie gone: the page then says which."""
    page.post("ending", "s1")
    page.chrome.get(f"{page.stack.url}/?access_token={page.token('--site', 'ending')}")
    _until(page, "#state", "Live")
    page.revoke("ending")
    _until(page, "#locked-why", "This token was revoked")
    page.chrome.delete_all_cookies()
    page.chrome.refresh()
    _until(page, "#locked-why", "This browser's access has expired")
    _expect_refusals(page, "401")


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_a_token_of_another_site_says_which_it_is_for(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """And links to it; another token can be entered."""
    page.look(size, theme)
    page.post("mine", "s1")
    page.chrome.get(f"{page.stack.url}/?access_token={page.token('--site', 'mine')}&site=theirs")
    _until(page, "#locked-why", "This token is not for “theirs”")
    assert page.text("#locked-sites") == "It is for mine"
    assert page.barriers() == []

    page.chrome.find_element("link text", "mine").click()
    _until(page, "#state", "Live")
    _expect_refusals(page, "403")


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_an_unknown_site_is_reported_until_its_first_event(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """Not as zeros; with what to do, and with the sites that there are."""
    page.look(size, theme)
    page.post("known", "s1")
    site_id = f"unknown-{theme}-{size[0]}"
    page.chrome.get(f"{page.address}&site={site_id}")
    _until(page, "#unknown-title", f"No events of “{site_id}” yet")
    _until(page, "#unknown-sites", "known")
    assert f'"site_id":"{site_id}"' in page.text("#unknown-example")
    assert page.text("#visitors") == ""
    assert page.barriers() == []

    page.post(site_id, "s1")
    _until(page, "#visitors", "1")
    assert page.chrome.current_url == f"{page.stack.url}/?site={site_id}"


@pytest.mark.parametrize("name", ["a b", "<img src=x onerror=alert(1)>", "x" * 65, "shop/live"])
def test_what_cannot_be_a_site_is_reported(page: LivePage, name: str) -> None:
    """With what can be one; a name is text, whatever is in it."""
    page.post("known", "s1")
    page.chrome.get(page.address)
    page.chrome.get(page.stack.url)
    page.chrome.execute_script("location.search = new URLSearchParams({site: arguments[0]})", name)
    _until(page, "#unknown-title", f"“{name}” is not a valid site_id")
    _until(page, "#unknown-why", "A site_id is 1 to 64 characters")
    assert page.text("#unknown-example") == ""
    assert page.barriers() == []
    _expect_refusals(page, "400", "404")


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_the_documentation_keeps_nobody_out(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """By axe-core; it fits a phone, loads nothing from elsewhere, and has this stack's address."""
    page.look(size, theme)
    page.chrome.get(f"{page.stack.url}/docs")
    assert f"curl {page.stack.url}/api/event " in page.text("#post-api-event pre")

    assert page.barriers() == []
    wide = "return document.documentElement.scrollWidth"
    assert page.chrome.execute_script(wide) <= size[0]
    assert page.hosts() == {page.stack.url}
    _expect_refusals(page, "favicon.ico")
