"""The page and its files: read once, public, and nothing in them comes from anywhere else."""

from importlib.resources import files

from sinks.query import answers
from sinks.query.answers import Answer

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
_FILES = {
    "/": "index.html",
    **{
        f"/page/{name}": name
        for name in ("live.css", "live.js", "now.js", "alerts.js", "dom.js", "icon.svg")
    },
}
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    # The address can hold a token.
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


def static_answers() -> dict[str, Answer]:
    """Return the answer of each path."""
    folder = files("sinks.query").joinpath("page")
    return {
        path: answers.plain(
            200, _TYPES[name.rpartition(".")[2]], folder.joinpath(name).read_bytes()
        ).with_headers(*_HEADERS)
        for path, name in _FILES.items()
    }
