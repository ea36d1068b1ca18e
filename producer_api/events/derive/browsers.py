"""Browser, operating system and device in a user agent."""

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from producer_api.events.derive.bots import crawler_patterns, is_library
from producer_api.events.derive.devices import DEVICE_PATTERNS, device_of


class Browser(Struct, frozen=True, gc=False):
    """The browser, operating system and device of a user agent."""

    name: str | None = None
    version: str | None = None
    os: str | None = None
    device: str | None = None
    is_bot: bool = False
    #: Whether it is an HTTP library, whose requests are not those of visitors.
    is_library: bool = False


NO_BROWSER = Browser(is_library=True)


def read_user_agent(user_agent: str) -> Browser:
    """Parse a user agent, which must not be empty."""
    extractors = parser()
    browser = extractors.ua.extract(user_agent)
    system = extractors.os.extract(user_agent)
    found = patterns()(user_agent)
    library = is_library(user_agent)
    return Browser(
        browser and browser.family,
        browser and browser.major,
        system and system.family,
        device_of(min(found)) if found else "other",
        # Lists of crawlers contain libraries.
        not library and found is not None and max(found) >= len(DEVICE_PATTERNS),
        library,
    )


@cache
def parser() -> Any:
    """Return the extractors of browsers (`ua`) and operating systems (`os`); loads for 150 ms.

    They are called directly, because the objects of `ua_parser.Parser` cost more than the search.
    """
    from ua_parser.loaders import load_builtins  # noqa: PLC0415
    from ua_parser.regex import Resolver  # noqa: PLC0415

    (user_agents, systems, _) = load_builtins()
    return Resolver((user_agents, systems, []))


@cache
def patterns() -> Callable[[str], list[int] | None]:
    """Return the search for the patterns of devices, and after them those of crawlers.

    They are one set, because a search costs the same for all. It takes 100 ms to build.
    """
    import re2  # noqa: PLC0415

    found = re2.Set.SearchSet()
    for pattern in (*DEVICE_PATTERNS, *crawler_patterns()):
        found.Add(pattern)
    found.Compile()
    search: Callable[[str], list[int] | None] = found.Match
    return search
