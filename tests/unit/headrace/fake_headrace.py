"""A server that answers batches as scripted, and records them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

#: Returns the response to the n-th request (from zero) with these lines; None: the
#: connection is lost.
Answer = Callable[[int, list[bytes]], web.Response | None]


class FakeHeadrace:
    """The recorded batches, and the address."""

    def __init__(self, answer: Answer) -> None:
        self.batches: list[list[bytes]] = []
        self.content_types: set[str] = set()
        self.url = ""
        self._answer = answer

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        lines = (await request.read()).split(b"\n")
        self.batches.append(lines)
        self.content_types.add(request.content_type)
        answer = self._answer(len(self.batches) - 1, lines)
        if answer is None:
            assert request.transport is not None
            request.transport.close()
        return answer or web.Response()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[FakeHeadrace]:
    """Serve on a free port."""
    fake = FakeHeadrace(answer)
    app = web.Application()
    app.router.add_post("/api/events", fake.handle)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake


def results(*statuses: str, status: int = 207, **headers: str) -> web.Response:
    """Return a response with results; those that are not accepted have a code."""
    body_results = [
        {"index": index, "status": status}
        if status == "accepted"
        else {"index": index, "status": status, "code": f"{status}_code", "error": f"{status}!"}
        for index, status in enumerate(statuses)
    ]
    body = msgspec.json.encode({"accepted": 0, "rejected": 0, "results": body_results})
    return web.Response(body=body, status=status, headers=headers)


def accept_all(_: int, lines: list[bytes]) -> web.Response:
    """Accept everything."""
    return results(*["accepted"] * len(lines), status=202)
