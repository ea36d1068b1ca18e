"""What the script reports besides views, in Chromium."""

import json
import re
import time

import pytest
import uuid_utils
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from producer_api.events.client import NO_CLIENT
from producer_api.events.dialects.fitting import event_uuid
from producer_api.events.draft import EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.import_sites import ImportSites
from tests.e2e.script.pages import Page, Pages

FULL = "script.full.js"
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}")


def now_us() -> int:
    """Return the time in microseconds."""
    return time.time_ns() // 1000


def click(chrome: Chrome, selector: str) -> None:
    """Click an element."""
    chrome.find_element(By.CSS_SELECTOR, selector).click()


def test_links_downloads_and_marked_elements(chrome: Chrome, pages: Pages) -> None:
    """Also links that the page handles itself, and that are clicked with the middle button."""
    pages.pages["/"] = Page("""
        <a id="out" href="https://other.example/x?mail=ada%40example.com#part"><b>Out</b></a>
        <a id="in" href="/next">In</a> <a id="pdf" href="/list.pdf">List</a>
        <a id="named" download href="/data">Data</a>
        <a id="mail" href="mailto:us@shop.example">Us</a>
        <button data-hr-event="buy" data-hr-plan-name="pro"><i>Buy</i></button>
        <script>addEventListener("click", (event) => event.preventDefault());</script>""")
    chrome.get(pages.url)
    for selector in ("#out b", "#in", "#pdf", "#named", "#mail", "button i"):
        click(chrome, selector)
    chrome.execute_script(
        "document.querySelector('#out').dispatchEvent("
        "new MouseEvent('auxclick', {button: 1, bubbles: true, composed: true}))"
    )

    links = pages.wait_for("external_link", 3)
    other = {"href": "https://other.example/x?mail=***"}
    assert [link["properties"] for link in links] == [
        *(other, {"href": "mailto:us@shop.example"}, other)
    ]
    downloads = pages.wait_for("custom_event", 2)
    assert [(one["event_name"], one["properties"]["href"]) for one in downloads] == [
        ("download", f"{pages.url}/list.pdf"),
        ("download", f"{pages.url}/data"),
    ]
    (button,) = pages.wait_for("button_click")
    assert (button["event_name"], button["properties"]) == ("buy", {"plan_name": "pro"})


def test_forms_and_copies_without_their_contents(chrome: Chrome, pages: Pages) -> None:
    """Names of fields, also of those that hide members of the form, and a length."""
    pages.pages["/"] = Page("""<p>Copy me</p>
        <form id="contact" data-hr-kind="long" action="/next">
          <input name="elements" value="secret"><input name="id" value="secret">
          <select name="name"></select><textarea name="name">secret</textarea><button name="go">
        </form>
        <script>addEventListener("submit", (event) => event.preventDefault());</script>""")
    chrome.get(pages.url)
    chrome.execute_script("getSelection().selectAllChildren(document.querySelector('p'))")
    ActionChains(chrome).key_down(Keys.CONTROL).send_keys("c").key_up(Keys.CONTROL).perform()
    click(chrome, "button")

    (copied,) = pages.wait_for("copy")
    assert copied["properties"] == {"length": 7}
    (form,) = pages.wait_for("form_submit")
    assert form["event_name"] == "contact"
    assert form["properties"] == {"kind": "long", "fields": ["elements", "id", "name"]}
    assert "secret" not in str(pages.posts)


def test_calls_of_the_site(chrome: Chrome, pages: Pages) -> None:
    """Also before the script has loaded: in order, with their own time."""
    pages.pages["/"] = Page(
        head="""<script>window.headrace = window.headrace || function () {
          arguments.at = Date.now(); (headrace.q = headrace.q || []).push(arguments) };
          headrace("early", {n: 1}); loadedAt = Date.now();</script>"""
    )
    chrome.get(pages.url)
    chrome.execute_script("""
        headrace("late", {properties: {n: 2}});
        headrace("toString", {big: 10n ** 20n, broken: "\\ud800", emoji: "👩‍🚀", none: null});
        headrace("identify", "u-1", {plan: "pro"});
        headrace("payment", {amount: 9.5, currency: "EUR", provider: "stripe", order_id: "o-1"});
        headrace("reset"); headrace("after", null);""")

    early, late, odd, after = pages.wait_for("custom_event", 4)
    assert [one["event_name"] for one in (early, late, odd, after)] == [
        *("early", "late", "toString", "after")
    ]
    assert (early["properties"], late["properties"]) == ({"n": 1}, {"n": 2})
    assert odd["properties"] == {
        "big": f"1{'0' * 20}",
        "broken": "�",
        "emoji": "👩‍🚀",
        "none": None,
    }
    (view,) = pages.wait_for("pageview")
    assert early["timestamp"] < view["timestamp"]
    (user,) = pages.wait_for("identify")
    assert (user["user_id"], user["properties"]) == ("u-1", {"plan": "pro"})
    (payment,) = pages.wait_for("payment")
    assert (payment["amount"], payment["currency"], payment["provider"]) == (9.5, "EUR", "stripe")
    assert (payment["user_id"], payment["properties"]) == ("u-1", {"order_id": "o-1"})
    assert late["session_id"] == payment["session_id"] != after["session_id"]
    assert "user_id" not in after
    assert all(_UUID7.fullmatch(event["event_id"]) for event in pages.events)


def test_events_take_the_fast_path_of_the_server(chrome: Chrome, pages: Pages) -> None:
    """All but payments, as their amounts are exact."""
    pages.pages["/"] = Page(
        """<a href="/list.pdf">List</a><button data-hr-event="buy">Buy</button>
        <script>
          addEventListener("click", (event) => event.preventDefault());
          addEventListener("load", () => { broken(); });
        </script>""",
        script=FULL,
    )
    chrome.get(f"{pages.url}/?utm_source=news&gclid=g-1")
    click(chrome, "a")
    click(chrome, "button")
    chrome.execute_script("headrace('identify', 'u-1', {plan: 'pro'}); headrace('signup')")
    chrome.get("about:blank")
    chrome.get(f"{pages.url}/next")
    types = ("pageview", "pageleave", "custom_event", "button_click", "identify", "error")
    for event_type in (*types, "web_vitals"):
        pages.wait_for(event_type)

    context = EventContext(now_us, lambda: str(uuid_utils.uuid7()), ImportSites((), now_us))
    slow = [
        event["type"]
        for event in pages.events
        if read_fast(json.dumps(event).encode(), context, NO_CLIENT) is None
    ]
    assert slow == []
    assert {event["type"] for event in pages.events} == {*types, "web_vitals"}


def test_what_the_full_script_adds(chrome: Chrome, pages: Pages) -> None:
    """Campaigns, masks, ids of browsers, pages that were not found, errors and vitals."""
    attributes = 'data-mask="token" data-visitor'
    pages.pages["/"] = Page("<p>Welcome</p>", script=FULL, attributes=attributes)
    pages.pages["/gone"] = Page(
        "<script>addEventListener('load', () => { throw 'text'; })</script>",
        script=FULL,
        attributes=attributes,
        status=404,
    )
    chrome.get(f"{pages.url}/?utm_source=news&token=secret&fbclid=f-1")
    pages.wait_for("pageview")
    chrome.get(f"{pages.url}/gone?utm_source=inner")

    first, gone = pages.wait_for("pageview", 2)
    assert "secret" not in str(pages.posts)
    assert first["url"] == f"{pages.url}/?utm_source=news&token=***&fbclid=f-1"
    assert [view["utm"] for view in (first, gone)] == [{"source": "news"}] * 2
    assert [view["ad_click_ids"] for view in (first, gone)] == [{"fbclid": "f-1"}] * 2
    assert _UUID7.fullmatch(first["visitor_id"])
    assert first["visitor_id"] == gone["visitor_id"]
    (missing,) = pages.wait_for("custom_event")
    assert (missing["event_name"], missing["properties"]) == ("404", {"path": "/gone"})
    (error,) = pages.wait_for("error")
    assert error["error_message"] == "text"
    (vitals,) = pages.wait_for("web_vitals")
    assert vitals["url"] == first["url"]
    assert vitals["properties"] == {"navigation_type": "navigate"}
    assert vitals["vitals"].keys() >= {"cls", "fcp", "lcp", "ttfb"}


def test_a_payment_counts_once(chrome: Chrome, pages: Pages) -> None:
    """The one of the URL when the page is left, unless the page reports it; also after a reload."""
    pages.pages["/paid"] = Page(script=FULL)
    call = "headrace('payment', {amount: '9.50', currency: 'EUR', order_id: 'o-1'})"
    pages.pages["/called"] = Page(
        f"<script>addEventListener('load', () => {call})</script>", script=FULL
    )
    for path in ("/paid?session_id=cs_1", "/paid?session_id=cs_1", "/called?session_id=cs_2"):
        chrome.get(f"{pages.url}{path}")
        pages.wait_for("pageview")
    chrome.get(f"{pages.url}/called?session_id=cs_2&again")
    chrome.get(f"{pages.url}/end")
    pages.wait_for("pageview", 5)

    in_url, called = pages.wait_for("payment", 2)
    assert in_url["properties"] == {"id": "cs_1"}
    assert in_url["event_id"] == event_uuid("shop", "stripe:cs_1")
    assert (called["amount"], called["provider"]) == ("9.50", "stripe")
    assert called["event_id"] == event_uuid("shop", "stripe:o-1")
    assert len(pages.of_type("payment")) == 2


def test_consent_begins_and_ends_tracking(chrome: Chrome, pages: Pages) -> None:
    """With a view, and without anything stored."""
    pages.pages["/"] = Page(script=FULL, attributes='data-consent="required"')
    chrome.get(pages.url)
    chrome.execute_script("headrace('before'); headrace('consent', true); headrace('after')")
    pages.wait_for("custom_event")
    pages.wait_for("pageview")
    chrome.execute_script("headrace('consent', false); headrace('denied')")
    stored = chrome.execute_script("return Object.keys(localStorage)")
    chrome.execute_script("headrace('consent', true); headrace('again')")

    events = pages.wait_for("custom_event", 2)
    assert [event["event_name"] for event in events] == ["after", "again"]
    assert stored == []
    assert len(pages.wait_for("pageview", 2)) == 2
    assert pages.of_type("pageleave") == []


def test_a_session_is_shared_by_tabs_and_ends_after_half_an_hour(
    chrome: Chrome, pages: Pages
) -> None:
    """Without events. With another storage, each tab or page has its own."""
    pages.pages["/none"] = Page(attributes='data-storage="none"')
    pages.pages["/later"] = Page(
        head="""<script>
        const session = JSON.parse(localStorage["headrace.shop.session"]);
        session.at -= 30 * 60e3;
        localStorage["headrace.shop.session"] = JSON.stringify(session);</script>"""
    )
    for count, path in enumerate(("/a", "/b", "/none", "/later"), 1):
        chrome.switch_to.new_window("tab")
        chrome.get(f"{pages.url}{path}")
        pages.wait_for("pageview", count)

    a, b, none, later = (view["session_id"] for view in pages.of_type("pageview"))
    assert a == b
    assert len({a, none, later}) == 3


@pytest.mark.parametrize(
    ("head", "attributes"),
    [
        ("<script>localStorage.headrace_ignore = true</script>", ""),
        (
            "<script>Object.defineProperty(navigator, 'globalPrivacyControl', {value: 1})</script>",
            "data-opt-out",
        ),
        ("<script>window.denied = 1</script>", 'data-consent="required"'),
    ],
    ids=["ignore", "signal", "consent"],
)
def test_nothing_is_sent_or_stored_for_who_opted_out(
    chrome: Chrome, pages: Pages, head: str, attributes: str
) -> None:
    """By the storage, by a signal of the browser, or by not agreeing."""
    pages.pages["/"] = Page(head=head, attributes=attributes, script=FULL)
    chrome.get(pages.url)
    chrome.execute_script("headrace('signup'); history.pushState({}, '', '/x')")
    keys = chrome.execute_script("return Object.keys(localStorage)")
    pages.pages["/counted"] = Page(head="<script>delete localStorage.headrace_ignore</script>")
    chrome.get(f"{pages.url}/counted")
    pages.wait_for("pageview")

    assert {event["url"] for event in pages.events} == {f"{pages.url}/counted"}
    assert [key for key in keys if "session" in key or "visitor" in key] == []


def test_two_sites_on_one_page(chrome: Chrome, pages: Pages) -> None:
    """By two tags, and by `create`; the global function is that of the first tag."""
    second = '<script defer src="/script.js" data-site="other"></script>'
    pages.pages["/"] = Page(second + second)
    chrome.get(pages.url)
    chrome.execute_script("headrace('mine'); headrace.create({site: 'third'})('theirs')")

    pages.wait_for("pageview", 3)
    assert sorted(view["site_id"] for view in pages.of_type("pageview")) == [
        *("other", "shop", "third")
    ]
    events = pages.wait_for("custom_event", 2)
    assert {(one["site_id"], one["event_name"]) for one in events} == {
        ("shop", "mine"),
        ("third", "theirs"),
    }


def test_the_base_of_the_api_is_an_option(chrome: Chrome, pages: Pages) -> None:
    """With or without a slash; trackers of `create` have the options of the tag."""
    pages.pages["/"] = Page(attributes='data-api="/stats/" data-off="copy"')
    chrome.get(pages.url)
    chrome.execute_script("headrace.create({site: 'other'})")

    pages.wait_for("pageview", 2)
    assert [request["path"] for request in pages.requests] == ["/stats/api/event"] * 2


def test_errors_are_limited(chrome: Chrome, pages: Pages) -> None:
    """The same ones, and all of a page."""
    pages.pages["/"] = Page(
        "<script>function fail(text) { headrace('error', new Error(text)); }</script>", script=FULL
    )
    chrome.get(pages.url)
    chrome.execute_script("for (let n = 0; n < 9; n += 1) fail('same'); headrace('first')")
    pages.wait_for("custom_event")
    assert len(pages.wait_for("error", 5)) == 5
    chrome.execute_script("for (let n = 0; n < 200; n += 1) fail(`${n}`); headrace('second')")

    pages.wait_for("custom_event", 2)
    assert len(pages.wait_for("error", 100)) == 100


def test_the_script_works_under_a_strict_policy(chrome: Chrome, pages: Pages) -> None:
    """Without inline code, and without eval."""
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'"  # noqa: E501
    pages.pages["/"] = Page(headers={"content-security-policy": policy}, script=FULL)
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    chrome.get(pages.url)
    pages.wait_for("pageview")

    messages = [entry["message"] for entry in chrome.get_log("browser")]  # type: ignore[no-untyped-call]
    assert [text for text in messages if "script.full.js" in text or "/api/event" in text] == []
