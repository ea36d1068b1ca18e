"""How much work the tracker does on the main thread, counted by calls instead of by time."""

from collections import Counter

from selenium.webdriver import Chrome

from tests.e2e.tracker.collector import open_collector
from tests.e2e.tracker.shop import open_shop, tag_of
from tests.e2e.tracker.visitor import Visitor

#: Counts calls that are expensive: storage is read from a disk, a layout is computed.
_COUNT = """
window.calls = {};
window.original = {setTimeout: setTimeout.bind(window)};
const counted = [
  [Storage.prototype, ["getItem", "setItem", "removeItem"]], [JSON, ["stringify", "parse"]],
  [Document.prototype, ["querySelector", "querySelectorAll"]], [window, ["fetch", "setTimeout"]],
  [Element.prototype, ["getBoundingClientRect"]], [Navigator.prototype, ["sendBeacon"]],
];
for (const [owner, names] of counted) for (const name of names) {
  const original = owner[name];
  owner[name] = function (...given) {
    calls[name] = (calls[name] || 0) + 1;
    return original.apply(this, given);
  };
}
for (const name of ["scrollHeight", "offsetHeight", "clientHeight"]) {
  const { get } = [HTMLElement.prototype, Element.prototype]
    .map((owner) => Object.getOwnPropertyDescriptor(owner, name)).find(Boolean);
  Object.defineProperty(Element.prototype, name, {
    get() { calls.layout = (calls.layout || 0) + 1; return get.call(this); },
  });
}
"""
#: Returns the calls from the first input to some time after the last.
_MOVE = """
const [done] = arguments;
calls = {};
for (let count = 0; count < 500; count += 1) {
  for (const type of ["scroll", "pointermove", "pointerdown", "keydown", "mousemove"]) {
    dispatchEvent(new Event(type));
  }
}
original.setTimeout(() => done({...calls}), 500);
"""


def test_input_costs_nothing_and_an_event_little(chrome: Chrome) -> None:
    """Scrolling and typing call nothing expensive; an event is stored once, in batches."""
    with (
        open_collector() as collector,
        open_shop(collector.url, tag_of(collector.url)) as shop,
    ):
        visitor = Visitor(chrome, shop)
        visitor.open("/")
        visitor.until(lambda: collector.of_type("pageview"), "the page view has arrived")
        chrome.execute_script(_COUNT)

        moved = chrome.execute_async_script(_MOVE)
        # The driver's own click computes layouts.
        chrome.execute_script("calls = {}; document.getElementById('buy').click()")
        visitor.until(lambda: collector.of_type("button_click"), "the click has arrived")
        clicked = Counter(chrome.execute_script("return calls"))

    assert moved == {}
    assert (clicked["fetch"], clicked["sendBeacon"], clicked["layout"]) == (1, 0, 0)
    assert clicked["setItem"] + clicked["getItem"] <= 8
