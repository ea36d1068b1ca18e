"""Removes request headers that are not supported, and adds default response headers."""

Headers = list[tuple[bytes, bytes]]


def sanitize_headers(headers: Headers) -> Headers:
    """Return request headers without backslashes in cookies, and without the header Range.

    Python parses backslashes in quoted cookies in quadratic time (CVE-2024-7592). Ranges are not
    supported, and Starlette would respond to an invalid one in another format.
    """
    return [
        (name, value.replace(b"\\", b"") if name == b"cookie" else value)
        for name, value in headers
        if name != b"range"
    ]


def with_default_headers(headers: Headers) -> Headers:
    """Return response headers with the defaults `no-store` and `nosniff`."""
    names = {name for name, _ in headers}
    defaults = [(b"x-content-type-options", b"nosniff")]
    if b"cache-control" not in names:
        defaults.append((b"cache-control", b"no-store"))
    return [*headers, *defaults]
