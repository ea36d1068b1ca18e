"""Browser, operating system and device in a user agent."""

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import Struct

from producer_api.events.derive.bots import is_bot, is_library
from producer_api.events.derive.devices import device_of


class Browser(Struct, frozen=True, gc=False):
    """What a user agent says."""

    name: str | None = None
    version: str | None = None
    os: str | None = None
    device: str | None = None
    is_bot: bool = False
    #: Whether it is that of an HTTP library: its request is not that of a visitor.
    is_library: bool = False


NO_BROWSER = Browser(is_library=True)


def read_user_agent(user_agent: str) -> Browser:
    """Return what a user agent says, which is never empty."""
    found = parser()(user_agent)
    return Browser(
        found.user_agent and found.user_agent.family,
        found.user_agent and found.user_agent.major,
        found.os and found.os.family,
        device_of(user_agent),
        is_bot(user_agent),
        is_library(user_agent),
    )


@cache
def parser() -> Callable[[str], Any]:
    """Return the parser of browsers and operating systems, which takes 200 ms to load."""
    from ua_parser import Domain, Parser  # noqa: PLC0415
    from ua_parser.loaders import load_builtins  # noqa: PLC0415
    from ua_parser.regex import Resolver  # noqa: PLC0415

    parse = Parser(Resolver(load_builtins()))
    domains = Domain.USER_AGENT | Domain.OS
    return lambda user_agent: parse(user_agent, domains)
