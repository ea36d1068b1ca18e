"""The live page: its files, and how it gets its token into a cookie."""

from importlib.resources import files
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from sinks.query.auth import Guard, demand_own_origin, set_cookie, token_of
from sinks.query.body import JsonBody, described_body
from sinks.query.errors import Route, responses
from sinks.query.models import PageTokenBody
from sinks.webhooks.asked import parse

TAG = "The live page"
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The address can hold a token.
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

router = APIRouter(tags=[TAG], route_class=Route)


@router.get(
    "/",
    response_class=HTMLResponse,
    summary="The live page.",
    description="A token in the address becomes a cookie; all other parameters stay.",
    responses={303: {"description": "To the address without its token."}, **responses(400, 503)},
)
async def show_page(
    request: Request,
    site: Annotated[str | None, Query(description="The site that it shows.")] = None,
    access_token: Annotated[str | None, Query(description="Opens the page.")] = None,
) -> Response:
    """Return the page, or redirect to its address without the token."""
    del site  # the page reads it
    if access_token is not None:
        return await _redirect(request)
    page = files("sinks.query").joinpath("page", "index.html").read_bytes()
    return HTMLResponse(page, headers=_HEADERS)


#: Public, and nothing in them comes from anywhere else.
_files = StaticFiles(packages=[("sinks.query", "page")])


@router.get("/page/{name}.{extension}", include_in_schema=False)
async def show_file(request: Request, name: str, extension: str) -> Response:
    """Return a file of the page."""
    response = await _files.get_response(f"{name}.{extension}", request.scope)
    response.headers.update(_HEADERS)
    del response.headers["accept-ranges"]  # of which none is served
    return response


@router.post(
    "/page/token",
    status_code=204,
    summary="Set the page's cookie to a token.",
    responses=responses(400, 401, 403, 413, 503),
    openapi_extra=described_body(PageTokenBody, {"token": "hr_…"}),
    dependencies=[Depends(demand_own_origin)],
)
async def keep_token(request: Request, body: JsonBody) -> Response:
    """Set the cookie to the token of the page's field; 401 says what is wrong with it."""
    guard: Guard = request.app.state.guard
    token = parse(PageTokenBody, body).token
    if await guard.check(token) is None:
        raise await guard.unauthorized(token)
    response = Response(status_code=204)
    set_cookie(response, token, request)
    return response


async def _redirect(request: Request) -> Response:
    """Redirect to the address without its token, with a cookie if the token works.

    All other parameters stay, byte for byte. What is wrong with a token is in the fragment,
    which no server is sent: the page shows it.
    """
    guard: Guard = request.app.state.guard
    token = token_of(request)
    parts = request.scope["query_string"].split(b"&")
    rest = b"&".join(part for part in parts if not _is_token(part))
    is_good = await guard.check(token) is not None
    fragment = b""
    if token and not is_good:
        fragment = b"#token-revoked" if await guard.was_revoked(token) else b"#token-unknown"
    response = Response(status_code=303, headers={"referrer-policy": "no-referrer"})
    # Not `RedirectResponse`, which would quote what is not ASCII.
    location = (b"/?" + rest if rest else b"/") + fragment
    response.headers["location"] = location.decode("latin-1")
    if is_good:
        set_cookie(response, token, request)
    return response


def _is_token(parameter: bytes) -> bool:
    """Return True for a parameter that is read as the token."""
    pairs = parse_qsl(parameter.decode("latin-1"), keep_blank_values=True)
    return [name for name, _ in pairs] == ["access_token"]
