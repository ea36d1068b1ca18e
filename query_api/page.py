"""The dashboard: its files, and the exchange of a token for a cookie."""

from importlib.resources import files
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from query_api.auth import Authenticator, require_same_origin, set_cookie, token_of
from query_api.errors import Route, responses
from query_api.models import PageTokenBody
from query_api.request_body import JsonBody, openapi_body
from schemas.root_path import root_path_of
from sinks.delivery.subscription_spec import parse

TAG = "Dashboard"
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The URL can contain a token.
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

router = APIRouter(tags=[TAG], route_class=Route)


@router.get(
    "/",
    response_class=HTMLResponse,
    summary="The dashboard.",
    description="A token in the URL is exchanged for a cookie; other parameters are kept.",
    responses={
        303: {"description": "Redirect to the URL without the token."},
        **responses(400, 503),
    },
)
async def show_page(
    request: Request,
    site: Annotated[str | None, Query(description="The site to show.")] = None,
    access_token: Annotated[
        str | None, Query(description="A token, exchanged for a cookie.")
    ] = None,
) -> Response:
    """Return the page, or redirect to its URL without the token."""
    del site  # read by the page
    if access_token is not None:
        return await _redirect(request)
    page = files("query_api").joinpath("page", "index.html").read_text("utf-8")
    if root_path := root_path_of(request.scope):
        # The URL may lack its trailing slash, to which paths in the page would be relative.
        page = page.replace('"page/', f'"{root_path}/page/')
    return HTMLResponse(page, headers=_HEADERS)


#: The files are public and contain no user data.
_files = StaticFiles(packages=[("query_api", "page")])


@router.get("/page/{name}.{extension}", include_in_schema=False)
async def show_file(request: Request, name: str, extension: str) -> Response:
    """Return a file of the page."""
    response = await _files.get_response(f"{name}.{extension}", request.scope)
    response.headers.update(_HEADERS)
    del response.headers["accept-ranges"]  # ranges are not supported
    return response


@router.post(
    "/page/token",
    status_code=204,
    summary="Set the page's cookie to a token.",
    responses=responses(400, 401, 403, 413, 503),
    openapi_extra=openapi_body(PageTokenBody, {"token": "hr_…"}),
    dependencies=[Depends(require_same_origin)],
)
async def set_page_token(request: Request, body: JsonBody) -> Response:
    """Set the cookie to the token that was entered on the page; 401 if it is not valid."""
    authenticator: Authenticator = request.app.state.authenticator
    token = parse(PageTokenBody, body).token
    if await authenticator.check(token) is None:
        raise await authenticator.unauthorized(token)
    response = Response(status_code=204)
    set_cookie(response, token, request)
    return response


async def _redirect(request: Request) -> Response:
    """Redirect to the URL without the token, and set the cookie if the token is valid.

    Other parameters are preserved byte for byte. If the token is not valid, the fragment contains
    the reason, which the page shows; browsers do not send fragments to servers.
    """
    authenticator: Authenticator = request.app.state.authenticator
    token = token_of(request)
    parts = request.scope["query_string"].split(b"&")
    rest = b"&".join(part for part in parts if not _is_token(part))
    is_valid = await authenticator.check(token) is not None
    fragment = b""
    if token and not is_valid:
        is_revoked = await authenticator.was_revoked(token)
        fragment = b"#token-revoked" if is_revoked else b"#token-unknown"
    response = Response(status_code=303, headers={"referrer-policy": "no-referrer"})
    # Not `RedirectResponse`, which quotes non-ASCII characters.
    location = (b"/?" + rest if rest else b"/") + fragment
    response.headers["location"] = root_path_of(request.scope) + location.decode("latin-1")
    if is_valid:
        set_cookie(response, token, request)
    return response


def _is_token(parameter: bytes) -> bool:
    """Return True for the parameter `access_token`, however it is encoded."""
    pairs = parse_qsl(parameter.decode("latin-1"), keep_blank_values=True)
    return [name for name, _ in pairs] == ["access_token"]
