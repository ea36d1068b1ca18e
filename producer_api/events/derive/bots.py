"""Bots and HTTP libraries in user agents."""

from collections.abc import Callable
from functools import cache

#: HTTP libraries and tools, by the first product of their user agent in lower case: the clients of
#: back ends. Lists of crawlers have some of them.
_LIBRARIES = frozenset(
    {
        *("ahc", "akka-http", "aiohttp", "apache-httpclient", "axios", "bun", "curl", "dart"),
        *("deno", "faraday", "fasthttp", "go-http-client", "got", "guzzlehttp", "hackney"),
        *("httpie", "insomnia", "java", "java-http-client", "k6", "libcurl", "libwww-perl"),
        *("node", "node-fetch", "okhttp", "php-curl-class", "postmanruntime", "python"),
        *("python-httpx", "python-requests", "python-urllib", "python-urllib3", "req"),
        *("reactornetty", "reqwest", "rest-client", "ruby", "symfony httpclient", "typhoeus"),
        *("undici", "ureq", "wget", "winhttp"),
    }
)


def is_library(user_agent: str) -> bool:
    """Return True for the user agent of an HTTP library: the client is a program."""
    return user_agent.partition("/")[0].strip().lower() in _LIBRARIES


def is_bot(user_agent: str) -> bool:
    """Return True for the user agent of a crawler or a headless browser, not of a library."""
    return not is_library(user_agent) and bool(crawlers()(user_agent))


@cache
def crawlers() -> Callable[[str], list[int] | None]:
    """Return the search for the patterns of `crawler-user-agents`, which takes 100 ms to build."""
    import re2  # noqa: PLC0415
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # noqa: PLC0415

    patterns = re2.Set.SearchSet()
    for entry in CRAWLER_USER_AGENTS_DATA:
        patterns.Add(entry["pattern"])
    patterns.Compile()
    search: Callable[[str], list[int] | None] = patterns.Match
    return search
