"""A small site on several hosts, which records what its pages report about themselves."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_SITE_JS = Path(__file__).parent / "shop" / "site.js"
CHECKOUT_SESSION = "cs_test_a1B2c3D4e5F6g7H8i9J0"
BLOG = "/blog/grüße-日本語"
_NONE: Mapping[str, str] = {}
_RULES = b'{"prerender": [{"urls": ["/prerendered"], "eagerness": "immediate"}]}'
_TALL = "".join(f"<p>Paragraph {number} of many.</p>" for number in range(60))
_FORM = """<form action="/contact/thanks">
<input name="email" type="email"><input name="name"><input name="csrf" type="hidden" value="x">
<textarea name="message"></textarea><button id="send">Send</button></form>"""

_PAGES = {
    "/": '<a id="to-pricing" href="/pricing">Prices</a> <a id="hash" href="#features">Features</a>'
    '<button id="buy" data-hr-event="buy" data-hr-plan="pro">Buy</button>'
    '<a id="download" href="/files/price-list.pdf">Price list</a>'
    '<a id="new-tab" target="_blank" href="{partner}/offer">Offer</a>'
    '<a id="same-tab" href="{partner}/same">Partner</a><button id="signup">Sign up</button>'
    '<button id="throw-string">a</button><button id="reject-undefined">b</button>'
    '<button id="step">Next step</button><p id="text">Copy these words</p>'
    '{tall}<section id="features">Features</section>',
    "/pricing": '<button id="buy" data-hr-event="buy" data-hr-plan="team">Buy</button>'
    '<button id="burst">Burst</button><a id="route" href="#/plans/yearly">Yearly</a>'
    '<a id="to-contact" href="/contact">Contact</a><a id="to-checkout" href="/checkout">Pay</a>'
    "{tall}",
    "/contact": "{form}",
    "/contact/thanks": '<button id="identify">Log in</button><a id="to-app" href="/app">App</a>',
    "/app": '<button id="settings">Settings</button><button id="user">User</button>'
    '<button id="back">Back</button><button id="throw">a</button><button id="reject">b</button>'
    '<a id="to-checkout" href="/checkout">Checkout</a>',
    "/checkout": '<a id="pay" href="/checkout/success?session_id={session}&order=o-1001">Pay</a>',
    "/checkout/success": '<button id="identify">Log in</button>'
    '<a id="broken" href="/does-not-exist">Help</a><a id="home" href="/">Home</a>',
    BLOG: '<button id="odd">Odd</button><button id="identify">Log in</button>'
    '<a id="home" href="/">Home</a>{tall}',
    "/later": "Another visit",
    "/before": "A page whose script opens the next page when the test says so",
    "/prerendered": "A page that is loaded before it is opened",
}
_OTHERS = {
    "/search": '<a id="result" href="{landing}">Result</a>',
    "/offer": "An offer",
    "/same": "A partner",
}


def tag_of(collector: str, attributes: str = "") -> str:
    """Return the tag of the site for a collector."""
    return f'<script defer src="{collector}/script.full.js" data-site="shop" {attributes}></script>'


class Shop:
    """The running site."""

    def __init__(self, port: int, collector: str, tag: str) -> None:
        self.url = f"http://shop.localhost:{port}"
        self.partner = f"http://partner.localhost:{port}"
        #: Where the link of the page /search leads to.
        self.landing = "/"
        self.tag = tag
        self.policy = (
            f"default-src 'none'; script-src 'self' {collector}; connect-src 'self' {collector}; "
            "img-src 'self' data:; form-action 'self'; base-uri 'none'"
        )
        self.life: list[dict[str, Any]] = []
        #: Set by a test to let the page /before open /prerendered.
        self.opens_next = threading.Event()

    def reports(self, kind: str, path: str) -> list[dict[str, Any]]:
        """Return what pages of a path reported, of one kind."""
        return [one for one in self.life if (one["kind"], one["path"]) == (kind, path)]

    def page(self, host: str, path: str) -> tuple[int, str]:
        """Return the status and the HTML of a page."""
        is_ours = host.startswith("shop.")
        body = (_PAGES if is_ours else _OTHERS).get(unquote(path))
        status = 200 if body else 404
        head = f'<script src="/site.js"></script>{self.tag}' if is_ours else ""
        if not body:
            head += '<meta name="headrace" content="404">'
        values = {
            "partner": self.partner,
            "landing": f"{self.url}{self.landing}",
            "session": CHECKOUT_SESSION,
            "form": _FORM,
            "tall": _TALL,
        }
        for name, value in values.items():
            body = (body or "Not found").replace(f"{{{name}}}", value)
        title = f"Page {unquote(path)}"
        return status, (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width">'
            f'<link rel="icon" href="data:,">{head}<body>{body}'
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, collector: str, tag: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shop = Shop(self.server_port, collector, tag)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        shop = self.server.shop
        path = urlsplit(self.path).path
        if path == "/next":
            shop.opens_next.wait()
            self._respond(204, "text/plain", b"")
        elif path == "/rules.json":
            self._respond(200, "application/speculationrules+json", _RULES)
        elif path == "/site.js":
            self._respond(200, "text/javascript", _SITE_JS.read_bytes())
        elif path.startswith("/files/"):
            attached = {"content-disposition": "attachment"}
            self._respond(200, "application/pdf", b"%PDF-1.4 prices", attached)
        else:
            status, html = shop.page(self.headers["host"], path)
            rules = {"speculation-rules": '"/rules.json"'} if path == "/before" else {}
            headers = {"content-security-policy": shop.policy, **rules}
            self._respond(status, "text/html; charset=utf-8", html.encode(), headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.shop.life.append(json.loads(body))
        self._respond(204, "text/plain", b"")

    def _respond(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] = _NONE
    ) -> None:
        self.send_response(status)
        fixed = {"content-type": kind, "content-length": str(len(body))}
        for name, value in {**fixed, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def open_shop(collector: str, tag: str) -> Iterator[Shop]:
    """Yield the site; `tag` is in the head of each page, `collector` is allowed by its policy."""
    with _Server(collector, tag) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.shop
        finally:
            server.shutdown()
