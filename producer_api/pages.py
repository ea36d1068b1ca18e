"""All that is read and not sent: health, metrics and documentation."""

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from producer_api import answers
from producer_api.answers import Answer
from producer_api.docs import docs_page
from producer_api.openapi import document
from producer_api.rejected import Rejected, Unread, shown
from schemas.reject_reasons import RejectReason

METHODS = "GET, HEAD"

#: The page brings all that it shows; nothing else may be loaded or run on it.
_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")


class Pages:
    """Answers GET and HEAD; each of `ready_checks` returns why the server is not ready."""

    def __init__(
        self, registry: CollectorRegistry, ready_checks: Sequence[Callable[[], str | None]]
    ) -> None:
        self._registry = registry
        self._ready_checks = ready_checks
        openapi = answers.json(200, document())
        docs = answers.plain(200, b"text/html; charset=utf-8", docs_page().encode())
        docs = docs.with_headers(_POLICY)
        self._by_path: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: answers.json(200, {"status": "ok"}),
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/openapi.json": lambda: openapi,
            "/docs": lambda: docs,
        }

    def answer(self, method: str, path: str) -> Answer:
        """Return the page at a path; `Unread` when there is none."""
        page = self._by_path.get(path)
        if page is None:
            raise Unread(RejectReason.NOT_FOUND, path=shown(path))
        if method not in ("GET", "HEAD"):
            raise Unread(RejectReason.METHOD_NOT_ALLOWED, path=path, allowed=METHODS, method=method)
        return page()

    def _ready(self) -> Answer:
        for check in self._ready_checks:
            trouble = check()
            if trouble is not None:
                return answers.refusal(Rejected(RejectReason.NOT_READY, why=trouble))
        return answers.json(200, {"status": "ready"})

    def _metrics(self) -> Answer:
        return answers.plain(200, CONTENT_TYPE_LATEST.encode(), generate_latest(self._registry))
