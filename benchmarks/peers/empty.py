"""An empty ASGI application, to measure the cost of a request and response in uvicorn."""

from typing import Any

_BODY = b'{"status":"accepted","event_id":"00000000-0000-0000-0000-000000000000"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and respond with 202."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
