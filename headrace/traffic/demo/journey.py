"""Simulates one visit as a sequence of steps: a wait, then an event. Pure."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from headrace.traffic.demo import shop
from headrace.traffic.demo.visitor import Visit, new_id

Event = dict[str, Any]
T = TypeVar("T")

#: The maximum number of pages of a visit.
_MAX_PAGES = 25
_PRODUCTS = {product.path: product for product in shop.PRODUCTS}


class Step(NamedTuple):
    """An event that occurs `wait` seconds after the previous one."""

    wait: float
    event: Event


class Journey:
    """One visit. `failure` is called for each page and returns its failure, or None."""

    def __init__(
        self, visit: Visit, random: Random, failure: Callable[[], shop.Failure | None]
    ) -> None:
        self._visit = visit
        self._random = random
        self._failure = failure
        self._path = ""
        self._referrer = visit.origin.referrer
        self._began = 0.0

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the visit."""
        path: str | None = self._random.choice(self._visit.origin.entries)
        for page in range(_MAX_PAGES):
            if path is None:
                return
            self._path = path
            yield from self._page(is_first=page == 0)
            path = self._next()
            if path is not None or self._chance(0.85):  # else the browser was closed
                yield self._leave()
            self._referrer = f"https://{shop.HOST}{self._path}"

    def _page(self, *, is_first: bool) -> Iterator[Step]:
        self._began = 0.0
        yield self._step(self._seconds(0.6), "pageview", **self._arrival(is_first=is_first))
        if self._chance(0.6):
            yield self._step(self._seconds(1.2), "web_vitals", vitals=self._vitals())
        if (failure := self._failure()) is not None:
            yield self._fail(failure)
        yield from self._act()

    def _act(self) -> Iterator[Step]:
        """Yield the actions on the current page."""
        if self._path in _PRODUCTS:
            yield from self._look_at_product()
        elif self._path == "/search":
            query = self._pick(shop.SEARCHES)
            yield self._step(self._seconds(4), "custom_event", event_name="search", query=query)
        elif self._path == "/login":
            yield from self._log_in()
        elif self._path == "/checkout":
            yield from self._pay()
        elif self._path in shop.STORIES:
            yield from self._read()

    def _look_at_product(self) -> Iterator[Step]:
        product = _PRODUCTS[self._path]
        if self._chance(0.06):
            yield self._step(self._seconds(9), "copy", text=self._pick(shop.COPIED))
        if self._chance(0.32):
            self._visit.cart.append(product.price)
            yield self._step(
                self._seconds(8), "button_click", event_name="add_to_cart", product=product.name
            )

    def _read(self) -> Iterator[Step]:
        yield self._step(self._seconds(25), "custom_event", event_name="read_half")
        if self._chance(0.15):
            yield self._step(self._seconds(6), "external_link", href=self._pick(shop.OUTSIDE))
        if self._chance(0.1):
            yield self._step(self._seconds(12), "form_submit", event_name="newsletter")

    def _log_in(self) -> Iterator[Step]:
        person = self._visit.person
        person.user_id = person.user_id or f"customer-{self._random.randrange(10_000, 99_999)}"
        yield self._step(self._seconds(9), "identify", plan=self._pick(("guest", "club")))

    def _pay(self) -> Iterator[Step]:
        cart = self._visit.cart
        yield self._step(self._seconds(20), "form_submit", event_name="address")
        if self._chance(0.12):
            yield self._fail(shop.DECLINED)
        if self._chance(0.85):
            paid = {"amount": round(sum(cart), 2), "currency": shop.CURRENCY}
            provider = self._pick(("stripe", "paypal"))
            yield self._step(
                self._seconds(5), "payment", items=len(cart), provider=provider, **paid
            )
            cart.clear()

    def _next(self) -> str | None:
        """Return the next page, or None to end the visit."""
        has_cart = bool(self._visit.cart)
        if self._path == "/checkout":
            return None if has_cart else "/thanks"
        if self._path in {"/cart", "/login"} and has_cart:
            return self._pick(("/checkout", "/checkout", "/boats", None))
        if has_cart and self._chance(0.4):
            return "/cart" if self._visit.person.user_id or self._chance(0.4) else "/login"
        if self._chance(0.24 if self._referrer != self._visit.origin.referrer else 0.38):
            return None
        return self._pick(_links(self._path))

    # -- the events

    def _leave(self) -> Step:
        """Return the step that leaves the page, after a wait."""
        wait = self._seconds(30 if self._path in shop.STORIES else 12)
        duration = round((self._began + wait) * 1_000)
        return self._step(wait, "pageleave", duration=duration)

    def _fail(self, failure: shop.Failure) -> Step:
        return self._step(
            self._seconds(2),
            "error",
            error_name=failure.name,
            error_message=failure.message,
            error_stack=failure.stack,
        )

    def _step(self, wait: float, kind: str, **fields: Any) -> Step:
        """Return a step with an event on this page; unknown fields become properties."""
        self._began += wait
        person, path = self._visit.person, self._path
        event = {
            "event_id": new_id(self._random),
            "type": kind,
            "session_id": self._visit.session_id,
            "visitor_id": person.visitor_id,
            "hostname": shop.HOST,
            "path": path,
            "url": f"https://{shop.HOST}{path}",
            **person.traits,
            **({"user_id": person.user_id} if person.user_id else {}),
            **{name: value for name, value in fields.items() if name in _FIELDS},
        }
        properties = {name: value for name, value in fields.items() if name not in _FIELDS}
        return Step(wait, event | {"properties": {"simulated": True, **properties}})

    def _arrival(self, *, is_first: bool) -> dict[str, Any]:
        arrival: dict[str, Any] = {"title": shop.TITLES[self._path]}
        if self._referrer:
            arrival["referrer"] = self._referrer
        origin = self._visit.origin
        if is_first and origin.utm:
            arrival["utm"] = origin.utm
        if is_first and origin.click_id:
            arrival["ad_click_ids"] = {origin.click_id: f"demo-{self._random.randrange(10**9)}"}
        return arrival

    def _vitals(self) -> dict[str, float]:
        factor = self._random.lognormvariate(0, 0.35)
        return {
            "lcp": round(1_700 * factor, 1),
            "fcp": round(900 * factor, 1),
            "ttfb": round(240 * factor, 1),
            "inp": round(120 * factor, 1),
            "cls": round(0.04 * factor, 3),
        }

    # -- randomness

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def _seconds(self, median: float) -> float:
        return median * self._visit.person.slowness * self._random.lognormvariate(0, 0.6)


_FIELDS = {
    *("title", "referrer", "utm", "ad_click_ids", "duration", "event_name", "vitals"),
    *("amount", "currency", "provider", "error_name", "error_message", "error_stack"),
}


def _links(path: str) -> list[str]:
    """Return the links of a page; popular ones are repeated."""
    if path in shop.CATEGORIES:
        return [product.path for product in shop.PRODUCTS if product.path.startswith(path)]
    if path in _PRODUCTS:
        category = f"/{path.split('/')[1]}"
        others = [p.path for p in shop.PRODUCTS if p.path != path]
        return [category, category, *others, "/help/shipping", "/search"]
    return [*shop.CATEGORIES, "/boats", "/sale", "/search", *shop.STORIES, *_PRODUCTS]
