"""The scripted visits: what visitors do, in the order of the recorded sessions of other clients."""

from urllib.parse import quote, urlencode

from tests.e2e.tracker.shop import BLOG, CHECKOUT_SESSION
from tests.e2e.tracker.visitor import Visitor

CAMPAIGN = (
    "utm_source=newsletter&utm_medium=email&utm_campaign=spring-2026&utm_term=running+shoes"
    "&utm_content=top&gclid=EAIaIQobChMI-TEST-gclid"
)
SUCCESS = f"/checkout/success?session_id={CHECKOUT_SESSION}&order=o-1001"
#: The paths of the page views of `shop_on_a_desktop`.
DESKTOP_VIEWS = [
    "/",
    "/pricing",
    "/contact",
    "/contact/thanks",
    "/app",
    "/app/settings",
    "/app/users/7",
    "/app/settings",
    "/checkout",
    "/checkout/success",
    "/does-not-exist",
    "/checkout/success",
    "/",
    "/",
]
PHONE_VIEWS = ["/pricing", "/pricing#/plans/yearly", "/checkout", "/checkout/success"]
READER_VIEWS = [BLOG, "/", "/", "/", "/pricing"]

LOOK_AROUND_VIEWS = [
    "/",
    "/pricing",
    "/contact",
    "/contact/thanks",
    "/app",
    "/app/settings",
    "/app",
    "/checkout",
    "/app",
]


def shop_on_a_desktop(visitor: Visitor) -> None:
    """Load nine pages, with two routes, one step back in the app, two restores from the bfcache."""
    visitor.land(f"/?{CAMPAIGN}")
    visitor.scroll(0.6)
    visitor.click("buy")
    visitor.copy("text")
    visitor.click("hash")
    visitor.click("download")
    visitor.look_at_another_tab("new-tab")
    visitor.click("signup")

    visitor.follow("to-pricing", "/pricing")
    visitor.scroll(1)
    visitor.click("buy")
    visitor.look_at_another_tab()

    visitor.follow("to-contact", "/contact")
    visitor.fill({"email": "ada@example.com", "name": "Ada Example", "message": "Hello there"})
    visitor.follow("send", "/contact/thanks")
    visitor.click("identify")

    visitor.follow("to-app", "/app")
    visitor.route("settings", "/app/settings")
    visitor.route("user", "/app/users/7")
    visitor.route("back", "/app/settings")
    visitor.click("throw")
    visitor.click("reject")
    visitor.stay()

    visitor.follow("to-checkout", "/checkout")
    visitor.follow("pay", "/checkout/success")
    visitor.follow("broken", "/does-not-exist")
    visitor.back("/checkout/success")
    visitor.follow("home", "/")
    visitor.follow("same-tab", "/same")
    visitor.back("/")
    visitor.leave()


def shop_on_a_phone(visitor: Visitor) -> None:
    """Follow a route in the hash, send twelve events at once, and pay."""
    visitor.use_phone()
    visitor.land("/pricing?fbclid=IwAR0-TEST-fbclid&utm_source=facebook&utm_medium=paid_social")
    visitor.scroll(0.5)
    visitor.click("buy")
    visitor.click("burst")
    visitor.click("route")
    visitor.stay()
    visitor.follow("to-checkout", "/checkout")
    visitor.follow("pay", "/checkout/success")
    visitor.click("identify")
    visitor.leave()


def read_in_german(visitor: Visitor) -> None:
    """Read a path in Unicode, with odd properties and errors; reload, and replace the state."""
    query = {"q": "café ☕", "email": "ada@example.com", "msclkid": "TEST-msclkid"}
    visitor.open(f"{quote(BLOG)}?{urlencode(query)}#abschnitt-2")
    visitor.click("odd")
    visitor.click("identify")
    visitor.scroll(0.8)
    visitor.follow("home", "/")
    visitor.click("throw-string")
    visitor.click("reject-undefined")
    visitor.stay()
    visitor.reload()
    visitor.route("step", "/")
    visitor.follow("to-pricing", "/pricing")
    visitor.leave()


def look_around(visitor: Visitor) -> None:
    """Use what a tracker listens to: links, a form, routes, the bfcache."""
    visitor.open("/")
    visitor.click("hash")
    visitor.click("download")
    visitor.copy("text")
    visitor.click("signup")
    visitor.look_at_another_tab("new-tab")
    visitor.follow("to-pricing", "/pricing")
    visitor.follow("to-contact", "/contact")
    visitor.fill({"name": "Ada"})
    visitor.follow("send", "/contact/thanks")
    visitor.follow("to-app", "/app")
    visitor.route("settings", "/app/settings")
    visitor.route("back", "/app")
    visitor.follow("to-checkout", "/checkout")
    visitor.back("/app")
    visitor.leave()
