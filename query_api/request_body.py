"""Reads request bodies, and detects disconnected clients."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from query_api.errors import ApiError

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body, which must be a JSON object. Raise `ApiError` if it is not, or too large."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            sentence = f"The body exceeds {MAX_BODY_BYTES} bytes"
            raise ApiError("body_too_large", sentence, connection="close")
    if not raw.strip():
        raise ApiError("invalid_json", "The body is empty; it must be a JSON object")
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError("invalid_json", f"The body is not valid JSON: {detail}") from None
    if not isinstance(content, dict):
        raise ApiError("not_an_object", "The body must be a JSON object")
    return content


#: The JSON body. It is read after the token check, and may have any content type.
JsonBody = Annotated[dict[str, Any], Depends(json_object)]


def openapi_body(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """Return the `openapi_extra` of an operation with a `JsonBody` of this model."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    media = {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; discard the rest of the request body.

    If the client disconnects, cancel `work` and raise `ClientDisconnect`.
    """
    task = asyncio.create_task(work)
    disconnected = asyncio.create_task(wait_for_disconnect(receive))
    try:
        await asyncio.wait([task, disconnected], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
