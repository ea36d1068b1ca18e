"""A fictional shop: its products, pages, failures and traffic sources."""

from typing import NamedTuple

HOST = "shop.example"
CURRENCY = "EUR"


class Product(NamedTuple):
    """A product; visits start on its page in proportion to `weight`."""

    path: str
    name: str
    price: float
    weight: int


class Origin(NamedTuple):
    """A traffic source, and the entry pages of its visitors."""

    weight: int
    referrer: str | None
    utm: dict[str, str] | None
    click_id: str | None
    entries: tuple[str, ...]


class Failure(NamedTuple):
    """An error in the browser."""

    name: str
    message: str
    stack: str


PRODUCTS = (
    Product("/boats/heron-kayak", "Heron kayak", 649.0, 5),
    Product("/boats/otter-canoe", "Otter canoe", 899.0, 2),
    Product("/paddles/reed", "Reed paddle", 79.5, 6),
    Product("/paddles/alder-carbon", "Alder carbon paddle", 189.0, 3),
    Product("/wear/dry-jacket", "Dry jacket", 129.0, 5),
    Product("/wear/river-shoes", "River shoes", 59.9, 4),
    Product("/safety/float-vest", "Float vest", 84.0, 4),
    Product("/bags/dry-bag-20", "Dry bag, 20 l", 24.9, 7),
)

CATEGORIES = {
    "/boats": "Boats",
    "/paddles": "Paddles",
    "/wear": "Wear",
    "/safety": "Safety",
    "/bags": "Bags",
}

STORIES = {
    "/stories/first-river": "Your first river",
    "/stories/roll-in-ten-steps": "A roll in ten steps",
    "/stories/packing-for-a-week": "Packing for a week",
}

TITLES = {
    "/": "Millstream: boats and gear",
    "/sale": "Sale",
    "/search": "Search",
    "/help/shipping": "Shipping and returns",
    "/login": "Log in",
    "/cart": "Your cart",
    "/checkout": "Checkout",
    "/thanks": "Thank you",
    **CATEGORIES,
    **STORIES,
    **{product.path: product.name for product in PRODUCTS},
}

_PRODUCT_PATHS = tuple(product.path for product in PRODUCTS for _ in range(product.weight))

ORIGINS = (
    Origin(30, "https://www.google.com/", None, None, ("/", *_PRODUCT_PATHS, "/boats")),
    Origin(22, None, None, None, ("/", "/", "/sale")),
    Origin(8, "https://duckduckgo.com/", None, None, ("/", *_PRODUCT_PATHS)),
    Origin(6, "https://www.bing.com/", None, None, ("/", "/paddles")),
    Origin(
        12,
        "https://www.google.com/",
        {"source": "google", "medium": "cpc", "campaign": "spring-rivers"},
        "gclid",
        ("/boats/heron-kayak", "/boats", "/sale"),
    ),
    Origin(
        9,
        None,
        {"source": "newsletter", "medium": "email", "campaign": "april-letter"},
        None,
        ("/sale", "/stories/packing-for-a-week"),
    ),
    Origin(
        8,
        "https://l.instagram.com/",
        {"source": "instagram", "medium": "social", "campaign": "first-river"},
        "fbclid",
        ("/stories/first-river",),
    ),
    Origin(5, "https://www.reddit.com/", None, None, ("/stories/roll-in-ten-steps",)),
    Origin(3, "https://paddlers.example/", None, None, ("/paddles/alder-carbon", "/paddles")),
)

SEARCHES = ("kayak", "dry bag", "paddle", "size chart", "life vest", "two person canoe", "shoes 43")

COPIED = ("RIVER10", "Reed paddle, 220 cm", "help@shop.example")

OUTSIDE = ("https://maps.example/millstream", "https://video.example/first-river")

#: Errors that occur at any time.
FAILURES = (
    Failure(
        "TypeError",
        "Cannot read properties of undefined (reading 'price')",
        "TypeError: Cannot read properties of undefined (reading 'price')\n"
        "    at renderPrice (https://shop.example/app.js:412:17)",
    ),
    Failure(
        "NetworkError",
        "Failed to fetch /api/stock",
        "NetworkError: Failed to fetch\n    at loadStock (https://shop.example/app.js:88:9)",
    ),
    Failure(
        "ChunkLoadError",
        "Loading chunk 7 failed",
        "ChunkLoadError: Loading chunk 7 failed\n    at https://shop.example/runtime.js:1:2210",
    ),
)
#: The error that visitors have after a bad release.
BROKEN_RELEASE = Failure(
    "ReferenceError",
    "cartTotal is not defined",
    "ReferenceError: cartTotal is not defined\n"
    "    at updateCart (https://shop.example/app.js:640:5)",
)
DECLINED = Failure(
    "PaymentDeclined",
    "The card was declined",
    "PaymentDeclined: The card was declined\n    at pay (https://shop.example/checkout.js:51:11)",
)
