"""Bots and HTTP libraries in user agents."""

import re

#: How the user agents of HTTP libraries, tools and SDKs begin, in lower case: the clients of back
#: ends. Lists of crawlers have some of them.
_LIBRARIES = (
    *("ahc", "akka-http", "aiohttp", "analytics-go", "analytics-java", "analytics-net"),
    *("analytics-node", "analytics-node-next", "analytics-php", "analytics-python"),
    *("analytics-ruby", "apache-httpasyncclient", "apache-httpclient", "axios", "bruno-runtime"),
    *("bun", "curl", "dart", "deno", "excon", "faraday", "fasthttp", "go-http-client", "go-resty"),
    *("got", "guzzlehttp", "hackney", "http-tiny", "http.rb", "httpie", "insomnia"),
    *("intellij http client", "java", "java-http-client", "jersey", "k6", "ktor-client", "libcurl"),
    *("libwww-perl", "matomojavaclient", "needle", "node", "node-fetch", "node-superagent"),
    *("okhttp", "php-curl-class", "posthog-go", "posthog-node", "posthog-php", "posthog-python"),
    *("posthog-ruby", "postmanruntime", "python", "python-httpx", "python-requests"),
    *("python-urllib", "python-urllib3", "reactornetty", "req", "reqwest", "rest-client"),
    *("restsharp", "ruby", "symfony httpclient", "thunder client", "typhoeus", "undici"),
    *("unirest-java", "ureq", "vert.x-webclient", "vscode-restclient", "wget", "winhttp"),
    *("wordpress", "zapier"),
)
#: After the name: `/7.0`, ` v2.9`, ` (https://…)`, ` - https://…`, `; https://…`, or nothing.
_LIBRARY = re.compile(
    rf"\s*(?:{'|'.join(map(re.escape, _LIBRARIES))})(?:$|[/;,]|\s*\(|\s+v?\d|\s+-\s)",
    re.IGNORECASE,
)


def is_library(user_agent: str) -> bool:
    """Return True for the user agent of an HTTP library: the client is a program."""
    return _LIBRARY.match(user_agent) is not None


def crawler_patterns() -> list[str]:
    """Return the patterns of crawlers and headless browsers, for RE2."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # noqa: PLC0415

    return [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
