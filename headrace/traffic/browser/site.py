"""The demo site: pages of the fictional shop, with the tag in their heads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from importlib.resources import files

from aiohttp import web

from headrace.traffic.demo import shop

_FILES = files("headrace.traffic.browser") / "site"
_REVIEWS = "/reviews"
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/site.css">
  <script src="/site.js"></script>
  {tag}
</head>
<body>
  <header><a href="/">Millstream</a> {menu} <a href="/cart">Cart</a></header>
  <main><h1>{title}</h1>{body}</main>
  <footer><a href="/help/shipping">Shipping</a> <a href="{other}/maps">Find us</a>
    <a href="/files/size-chart.pdf">Size chart</a></footer>
</body>
</html>
"""
_PRODUCT = """<p>{price:.2f} EUR</p>
<button data-hr-event="add_to_cart" data-hr-product="{name}" data-goto="/cart">Add to cart</button>
<button data-push="{path}{reviews}">Reviews</button> <button data-break="zoom">Zoom</button>"""
_SEARCH = '<form action="/search"><input name="q" value="kayak"><button>Search</button></form>'


def _menu(paths: dict[str, str]) -> str:
    return " ".join(f'<a href="{path}">{escape(title)}</a>' for path, title in paths.items())


def _body(path: str) -> str:
    """Return the content of a page: what leads on from it."""
    if product := next((one for one in shop.PRODUCTS if one.path == path), None):
        return _PRODUCT.format(**product._asdict(), reviews=_REVIEWS)
    if path in shop.CATEGORIES:
        products = {one.path: one.name for one in shop.PRODUCTS if one.path.startswith(path)}
        return _menu(products)
    if path == "/cart":
        return '<a class="next" href="/checkout">Checkout</a>'
    if path == "/checkout":
        return '<a class="next" href="/thanks">Pay 79.50 EUR</a>'
    if path in shop.STORIES:
        return "<p>The river is high in April.</p>" * 40
    return _SEARCH + _menu({one.path: one.name for one in shop.PRODUCTS})


def _page(path: str, tag: str, other: str) -> web.Response:
    title = shop.TITLES.get(path.removesuffix(_REVIEWS))
    html = _PAGE.format(
        title=escape(title or "Page not found"),
        tag=tag if title else f'<meta name="headrace" content="404">{tag}',
        menu=_menu(shop.CATEGORIES | shop.STORIES),
        body=_body(path.removesuffix(_REVIEWS)) if title else "",
        other=other,
    )
    return web.Response(text=html, content_type="text/html", status=200 if title else 404)


@asynccontextmanager
async def served(tag: str) -> AsyncIterator[str]:
    """Serve the site on this machine with a tag; yield its URL."""

    async def respond(request: web.Request) -> web.StreamResponse:
        path = request.path
        if request.host != own:
            return web.Response(text="<title>Another site</title>", content_type="text/html")
        if path in {"/site.js", "/site.css"}:
            kind = "text/javascript" if path.endswith("js") else "text/css"
            return web.Response(text=(_FILES / path[1:]).read_text("utf-8"), content_type=kind)
        if path.startswith("/files/"):
            attached = {"content-disposition": "attachment"}
            return web.Response(body=b"%PDF-1.4", headers=attached)
        return _page(path, tag, f"http://localhost:{port}")

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        own = f"127.0.0.1:{port}"
        yield f"http://{own}"
    finally:
        await runner.cleanup()
