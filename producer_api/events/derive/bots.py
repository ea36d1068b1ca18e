"""Bots and HTTP libraries in user agents."""

#: HTTP libraries and tools, by the first product of their user agent in lower case: the clients of
#: back ends, also those of Segment and RudderStack. Lists of crawlers have some of them.
_LIBRARIES = frozenset(
    {
        *("ahc", "akka-http", "aiohttp", "analytics-java", "analytics-net", "analytics-node"),
        *("analytics-node-next", "analytics-php", "analytics-python", "analytics-ruby"),
        *("apache-httpclient", "axios", "bun", "curl", "dart"),
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


def crawler_patterns() -> list[str]:
    """Return the patterns of crawlers and headless browsers, for RE2."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # noqa: PLC0415

    return [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
