"""The body of a request, bounded, and a client that goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from sinks.query.errors import ApiError

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object; an error unless it is one, and small enough."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_BODY_BYTES:
            sentence = f"The body is over {MAX_BODY_BYTES} bytes"
            raise ApiError("body_too_large", sentence, connection="close")
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError("invalid_json", f"The body is not valid JSON: {detail}") from None
    if not isinstance(content, dict):
        raise ApiError("not_an_object", "The body must be a JSON object")
    return content


#: Read after the token was checked, and whatever the content type is.
JsonBody = Annotated[dict[str, Any], Depends(json_object)]


def described_body(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """Return the `openapi_extra` of an operation that reads a `JsonBody` of this model."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    media = {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; if the client goes first, cancel it: `ClientDisconnect`.

    The request's body is discarded.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(until_disconnected(receive))
    try:
        await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def until_disconnected(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
