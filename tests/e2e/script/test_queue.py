"""What the script does when its events do not arrive, in Chromium."""

from typing import Any

from selenium.webdriver import Chrome

from producer_api.tracker.scripts import NAMES
from tests.e2e.script.pages import SITE, Event, Page, Pages
from tests.fixtures.waiting import eventually

_SECONDS = 20


def ids_of(post: list[Event]) -> list[str]:
    """Return the ids of a request's events."""
    return [event["event_id"] for event in post]


def wait_for_posts(pages: Pages, count: int) -> list[list[Event]]:
    """Wait until this number of requests have arrived; return them."""
    return eventually(
        lambda: found if len(found := list(pages.posts)) >= count else [],
        within_seconds=_SECONDS,
        what=f"{count} requests",
    )


def wait_for_later_events(pages: Pages, count: int) -> list[Event]:
    """Wait until the requests after the first have this number of events; return them."""

    def later() -> list[Event]:
        found = {event["event_id"]: event for post in pages.posts[1:] for event in post}
        return list(found.values()) if len(found) >= count else []

    return eventually(later, within_seconds=_SECONDS, what=f"{count} later events")


def stored(chrome: Chrome) -> Any:
    """Return the events in the storage of the page's origin."""
    return chrome.execute_script("return JSON.parse(localStorage['headrace.shop.queue'] || '[]')")


def test_one_event_is_a_plain_request_and_several_are_a_batch(chrome: Chrome, pages: Pages) -> None:
    """Neither needs a preflight."""
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    chrome.execute_script("for (let n = 0; n < 12; n += 1) headrace('n', {n})")

    first, second = wait_for_posts(pages, 2)
    assert (len(first), [event["properties"]["n"] for event in second]) == (1, [*range(12)])
    assert [request["path"] for request in pages.requests] == ["/api/event", "/api/events"]
    assert {request["Content-Type"] for request in pages.requests} == {"text/plain;charset=UTF-8"}


def test_a_lost_request_is_sent_again_with_the_same_ids(chrome: Chrome, pages: Pages) -> None:
    """And a new time of sending."""
    # Chromium itself repeats a request once if the connection is closed without a response.
    pages.answers = [None, None]
    chrome.get(pages.url)

    posts = wait_for_posts(pages, 3)
    assert len({*map(str, map(ids_of, posts))}) == 1
    assert posts[0][0]["sent_at"] < posts[-1][0]["sent_at"]
    assert posts[0][0]["timestamp"] == posts[-1][0]["timestamp"]
    eventually(lambda: stored(chrome) == [], within_seconds=_SECONDS, what="nothing is stored")


def test_a_server_that_is_busy_gets_the_event_later(chrome: Chrome, pages: Pages) -> None:
    """When it asks for it."""
    pages.answers = [(503, {"retry-after": "1"}, {}), (429, {"retry-after": "1"}, {})]
    chrome.get(pages.url)

    first, second, third = wait_for_posts(pages, 3)
    assert ids_of(first) == ids_of(second) == ids_of(third)


def test_a_server_that_is_busy_for_long_is_left_alone(chrome: Chrome, pages: Pages) -> None:
    """Also if the delay exceeds that of timers, and other events are added meanwhile."""
    pages.answers = [(503, {"retry-after": "99999999"}, {})]
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    eventually(lambda: stored(chrome), within_seconds=_SECONDS, what="the response is known")
    # A retry would be due after 100 ms, and timers run in order.
    chrome.execute_async_script("headrace('more'); setTimeout(arguments[0], 200)")

    assert len(pages.posts) == 1


def test_a_response_that_is_no_object_is_accepted(chrome: Chrome, pages: Pages) -> None:
    """Of something between the page and the server."""
    pages.answers = [(200, {}, None), (200, {}, [1])]
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    for count in (2, 3):
        chrome.execute_script("headrace('next')")
        wait_for_posts(pages, count)

    assert [len(post) for post in pages.posts] == [1, 1, 1]


def test_an_event_that_is_too_large_harms_no_other(chrome: Chrome, pages: Pages) -> None:
    """Neither those that are sent, nor those that are stored."""
    pages.answers = [(503, {"retry-after": "60"}, {})]
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    chrome.execute_script("headrace('small'); headrace('large', {text: 'x'.repeat(200000)})")
    chrome.get("about:blank")
    chrome.get(f"{pages.url}/next")

    later = wait_for_later_events(pages, 4)
    assert [event["event_name"] for event in later if "event_name" in event] == ["small"]


def test_nothing_is_sent_of_earlier_pages_after_an_opt_out(chrome: Chrome, pages: Pages) -> None:
    """It stays where it is."""
    pages.answers = [(503, {"retry-after": "60"}, {})]
    chrome.get(f"{pages.url}/a")
    wait_for_posts(pages, 1)
    chrome.get("about:blank")
    ignore = "<script>localStorage.headrace_ignore = 'yes'</script>"
    pages.pages["/b"] = Page("<a href='/c'>On</a>", head=ignore)
    chrome.get(f"{pages.url}/b")
    chrome.execute_script("headrace('ignored')")
    chrome.get("about:blank")
    pages.pages["/c"] = Page(head="<script>delete localStorage.headrace_ignore</script>")
    chrome.get(f"{pages.url}/c")

    later = wait_for_later_events(pages, 3)
    assert {event["url"] for event in later} == {f"{pages.url}/a", f"{pages.url}/c"}


def test_a_rejected_event_is_not_sent_again(chrome: Chrome, pages: Pages) -> None:
    """The next one is. The console shows the reason."""
    rejection = {"error": "The site shop is not registered", "code": "unknown_site"}
    pages.answers = [(403, {}, rejection)]
    pages.pages["/"] = Page(
        head="<script>warned = []; console.warn = (...words) => { warned.push(words); }</script>"
    )
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    chrome.execute_script("headrace('next')")

    second = wait_for_posts(pages, 2)[1]
    assert [event["type"] for event in second] == ["custom_event"]
    ((*words, _),) = chrome.execute_script("return warned")
    assert words == ["headrace", 403, rejection]


def test_of_a_batch_only_what_failed_is_sent_again(chrome: Chrome, pages: Pages) -> None:
    """Not what was accepted, nor what was rejected."""
    results = [{"status": "accepted"}, {"status": "failed"}, {"status": "rejected"}]
    pages.answers = [(202, {}, {}), (207, {"retry-after": "1"}, {"results": results})]
    chrome.get(pages.url)
    wait_for_posts(pages, 1)
    chrome.execute_script("for (const n of [0, 1, 2]) headrace('n', {n})")

    assert [event["properties"]["n"] for event in wait_for_posts(pages, 3)[2]] == [1]


def test_the_next_page_sends_what_was_left(chrome: Chrome, pages: Pages) -> None:
    """Once, and not what is older than a day."""
    pages.answers = [(503, {"retry-after": "60"}, {})]
    chrome.get(f"{pages.url}/a")
    eventually(lambda: stored(chrome), within_seconds=_SECONDS, what="the response has arrived")
    chrome.execute_script("headrace('left')")
    chrome.get("about:blank")
    assert len(pages.posts) == 1
    pages.pages["/b"] = Page(
        head="""<script>
        const queue = JSON.parse(localStorage["headrace.shop.queue"]);
        const [id, event] = queue[0];
        const old = {...event, event_id: "old", timestamp: "2020-01-01T00:00:00.000Z"};
        localStorage["headrace.shop.queue"] = JSON.stringify([["old", old], ...queue]);
        </script>"""
    )
    chrome.get(f"{pages.url}/b")

    later = wait_for_later_events(pages, 4)
    assert sorted(event["type"] for event in later) == [
        *("custom_event", "pageleave", "pageview", "pageview"),
    ]
    assert "old" not in ids_of(later)
    eventually(lambda: stored(chrome) == [], within_seconds=_SECONDS, what="nothing is stored")


def test_only_one_tab_sends_what_was_left(chrome: Chrome, pages: Pages) -> None:
    """Others leave it to the tab that has begun."""
    pages.answers = [(503, {"retry-after": "60"}, {})]
    chrome.get(f"{pages.url}/a")
    wait_for_posts(pages, 1)
    chrome.get("about:blank")
    # The lock of the storage is that of another tab until it lets go.
    hold = f"navigator.locks.request('headrace.{SITE}.queue', () => new Promise((done) => {{"
    pages.pages["/b"] = Page(head=f"<script>{hold} window.release = done; }}))</script>")
    chrome.get(f"{pages.url}/b")
    second = wait_for_posts(pages, 2)[1]
    assert [event["url"] for event in second] == [f"{pages.url}/b"]

    chrome.execute_script("release()")
    chrome.get(f"{pages.url}/c")
    eventually(
        lambda: f"{pages.url}/a" in [event["url"] for post in pages.posts[2:] for event in post],
        within_seconds=_SECONDS,
        what="the next page sends it",
    )


def test_without_keepalive_a_beacon_is_sent_at_the_end(chrome: Chrome, pages: Pages) -> None:
    """As in Firefox before 133."""
    pages.pages["/a"] = Page(head="<script>delete Request.prototype.keepalive</script>")
    chrome.get(f"{pages.url}/a")
    pages.wait_for("pageview")
    chrome.get("about:blank")

    pages.wait_for("pageleave")
    assert pages.requests[-1]["Sec-Fetch-Mode"] == "no-cors"


def test_damaged_and_missing_storage_do_no_harm(chrome: Chrome, pages: Pages) -> None:
    """Events are sent without it."""
    keys = "['queue', 'session', 'campaign', 'payments', 'visitor']"
    values = ["{", "[1]", "5", "null", "[[]]", '{"id": 1}']
    for number, value in enumerate(values):
        damage = f"<script>for (const key of {keys}) localStorage[`headrace.shop.${{key}}`]"
        pages.pages[f"/{number}"] = Page(
            head=f"{damage} = '{value}'</script>", attributes="data-visitor", script=NAMES[1]
        )
    pages.pages["/sandboxed"] = Page(headers={"content-security-policy": "sandbox allow-scripts"})
    for count, path in enumerate(
        (*(f"/{number}" for number in range(len(values))), "/sandboxed"), 1
    ):
        chrome.get(f"{pages.url}{path}")
        assert pages.wait_for("pageview", count)[-1]["url"] == f"{pages.url}{path}"


def test_a_batch_stays_below_the_limit_of_requests_that_outlive_a_page(
    chrome: Chrome, pages: Pages
) -> None:
    """Each event arrives."""
    chrome.get(pages.url)
    chrome.execute_script(
        "for (let n = 0; n < 30; n += 1) headrace('n', {n, text: 'ü'.repeat(3500)})"
    )

    assert len(pages.wait_for("custom_event", 30)) == 30
    assert max(int(request["Content-Length"]) for request in pages.requests) < 60 * 1024
