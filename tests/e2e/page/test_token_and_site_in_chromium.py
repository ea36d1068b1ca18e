"""Missing and invalid tokens, and unknown sites, on a real stack."""

import pytest

from tests.e2e.page.live_page import SCREENS, LivePage, tag_of
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def _clear_browser(page: LivePage) -> None:
    """Clear the browser's cookies and storage."""
    everything = {"origin": page.stack.url, "storageTypes": "all"}
    page.chrome.execute_cdp_cmd("Storage.clearDataForOrigin", everything)


def _until(page: LivePage, selector: str, text: str) -> None:
    eventually(
        lambda: text in page.text(selector),
        within_seconds=30,
        what=f"{selector} says {text!r}, not {page.text(selector)!r}",
    )


def _expect_rejections(page: LivePage, *statuses: str) -> None:
    """Check that the console has only messages about rejected requests."""
    messages = page.console()
    assert [text for text in messages if not any(status in text for status in statuses)] == []


def test_the_token_field_opens_the_site_of_the_address(page: LivePage) -> None:
    """The field has the focus; a wrong token has another message than a missing one."""
    page.post("fields", "s1")
    page.chrome.get(f"{page.stack.url}/?site=fields&a=%2F")
    _until(page, "#locked", "This page needs a token")
    assert page.text("#locked-why") == ""

    page.enter("hr_wrong")
    _until(page, "#locked-why", "This token is unknown")
    assert page.violations() == []

    # The whole address from the screen is accepted as well.
    page.enter(page.address)
    _until(page, "#state", "Live")
    assert page.chrome.current_url == f"{page.stack.url}/?site=fields&a=%2F"
    _until(page, "#visitors", "1")
    _expect_rejections(page, "401")


def test_a_wrong_token_in_the_address_is_reported(page: LivePage) -> None:
    """So is a revoked one; the address loses the token and keeps the site."""
    revoked = page.token("--site", "gone")
    page.revoke("gone")
    for token, reason in (("hr_wrong", "is unknown"), (revoked, "was revoked")):
        page.chrome.get(f"{page.stack.url}/?access_token={token}&site=gone")
        _until(page, "#locked-why", f"The token in the link {reason}")
        assert page.chrome.current_url == f"{page.stack.url}/?site=gone"
    _expect_rejections(page, "401")


def test_a_token_that_ends_while_the_page_is_open_is_reported(page: LivePage) -> None:
    """Whether it was revoked, or its cookie has expired."""
    page.post("ending", "s1")
    page.chrome.get(f"{page.stack.url}/?access_token={page.token('--site', 'ending')}")
    _until(page, "#state", "Live")
    page.revoke("ending")
    _until(page, "#locked-why", "This token was revoked")
    page.chrome.delete_all_cookies()
    page.chrome.refresh()
    _until(page, "#locked-why", "This browser's access has expired")
    _expect_rejections(page, "401")


@pytest.mark.parametrize(("size", "theme"), SCREENS)
def test_a_token_of_another_site_says_which_it_is_for(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """It links to that site."""
    page.set_screen(size, theme)
    page.post("mine", "s1")
    page.chrome.get(f"{page.stack.url}/?access_token={page.token('--site', 'mine')}&site=theirs")
    _until(page, "#locked-why", "This token has no access to “theirs”")
    assert page.text("#locked-sites") == "It has access to mine"
    assert page.violations() == []

    page.chrome.find_element("link text", "mine").click()
    _until(page, "#state", "Live")
    _expect_rejections(page, "403")


@pytest.mark.parametrize(("size", "theme"), SCREENS)
def test_an_unknown_site_is_reported_until_its_first_event(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """Instead of zeros, with its tag and the known sites."""
    page.set_screen(size, theme)
    page.post("known", "s1")
    site_id = f"unknown-{theme}-{size[0]}"
    page.chrome.get(f"{page.address}&site={site_id}")
    _until(page, "#unknown-title", f"No events from “{site_id}” yet")
    _until(page, "#unknown-sites", "known")
    eventually(
        lambda: page.tag("#unknown") == tag_of(page, site_id),
        within_seconds=30,
        what="the page shows the tag",
    )
    assert page.text("#visitors") == ""
    assert page.violations() == []

    page.post(site_id, "s1")
    _until(page, "#visitors", "1")
    assert page.chrome.current_url == f"{page.stack.url}/?site={site_id}"


@pytest.mark.parametrize("name", ["a b", "<img src=x onerror=alert(1)>", "x" * 65, "shop/live"])
def test_an_invalid_site_is_reported(page: LivePage, name: str) -> None:
    """With the valid format; the name is escaped."""
    page.post("known", "s1")
    page.chrome.get(page.address)
    page.chrome.get(page.stack.url)
    page.chrome.execute_script("location.search = new URLSearchParams({site: arguments[0]})", name)
    _until(page, "#unknown-title", f"“{name}” is not a valid site_id")
    _until(page, "#unknown-why", "A site_id is 1 to 64 characters")
    assert page.text("#unknown-begin") == ""
    assert page.violations() == []
    _expect_rejections(page, "400", "404")


@pytest.mark.parametrize(("size", "theme"), SCREENS)
def test_the_documentation_is_accessible(page: LivePage, size: tuple[int, int], theme: str) -> None:
    """By axe-core; it fits a phone, loads no other resources, and has the stack's address."""
    page.set_screen(size, theme)
    page.chrome.get(f"{page.stack.url}/docs")
    assert f"curl {page.stack.url}/api/event " in page.text("#post-api-event pre")

    assert page.violations() == []
    wide = "return document.documentElement.scrollWidth"
    assert page.chrome.execute_script(wide) <= size[0]
    assert page.hosts() == {page.stack.url}
    _expect_rejections(page, "favicon.ico")
