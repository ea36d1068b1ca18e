"""Rendering of the OpenAPI document: as JSON with the server's address, and as a page.

The page is self-contained: it has no scripts and loads nothing.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from schemas.root_path import root_path_of

Document = dict[str, Any]
Scope = Mapping[str, Any]

#: The Content-Security-Policy of the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_SCHEMES = frozenset({"http", "https"})


def base_of(scope: Scope) -> str:
    """Return the base URL that the client used, with the root path and without trailing slash.

    Empty if the Host header is missing or invalid.

    X-Forwarded-Host and X-Forwarded-Proto are trusted, because only examples depend on it.
    """
    headers = dict(scope["headers"])

    def first(name: bytes) -> str:
        return str(headers.get(name, b"").decode("latin-1").partition(",")[0].strip())

    host = first(b"x-forwarded-host") or first(b"host")
    scheme = first(b"x-forwarded-proto").lower() or scope.get("scheme", "http")
    base = f"{scheme}://{host}{root_path_of(scope)}"
    return base if _HOST.fullmatch(host) and scheme in _SCHEMES else ""


def served(document: Document, base: str, root_path: str = "") -> Document:
    """Return the document with its `servers`: `base`, and the root path of the document's host."""
    own = (
        [{"url": base, "description": "This server, at the address of your request."}]
        if base
        else []
    )
    document_origin = {"url": root_path or "/", "description": "The document's origin."}
    return {**document, "servers": [*own, document_origin]}


def openapi(document: Document, scope: Scope) -> bytes:
    """Return the document for a request, as JSON."""
    described = served(document, base_of(scope), root_path_of(scope))
    return json.dumps(described, ensure_ascii=False).encode()


def page(document: Document, scope: Scope) -> bytes:
    """Return the document for a request, as a page."""
    base = base_of(scope) or "http://127.0.0.1:8080"
    template = files("schemas").joinpath("http_docs.html").read_text("utf-8")
    parts = {
        "title": escape(document["info"]["title"]),
        "about": escape(document["info"]["description"]),
        "base": escape(base),
        "root_path": escape(root_path_of(scope)),
        "contents": "".join(_contents(document)),
        "operations": "".join(_operations(document, base)),
        "webhooks": "".join(_webhooks(document)),
        "schemas": "".join(_schemas(document)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template).encode()


def _operations_of(document: Document, tag: Document) -> list[tuple[str, str, Document]]:
    """Return the method, the path and the operation object of each operation with this tag."""
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation["tags"] == [tag["name"]]
    ]


def _anchor(method: str, path: str) -> str:
    return f"{method.lower()}-{re.sub('[^a-z]+', '-', path).strip('-')}"


def _contents(document: Document) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><ul>"
        for method, path, _ in _operations_of(document, tag):
            yield f'<li><a href="#{_anchor(method, path)}">{method} {escape(path)}</a>'
        yield "</ul>"


def _operations(document: Document, base: str) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}"
        for method, path, operation in _operations_of(document, tag):
            yield from _operation(base, method, path, operation)


def _operation(base: str, method: str, path: str, operation: Document) -> Iterator[str]:
    yield f'<section id="{_anchor(method, path)}"><h3><code>{method} {escape(path)}</code></h3>'
    yield f"<p>{escape(operation['summary'])} {escape(operation.get('description', ''))}"
    yield f"<pre>{escape(_curl(base, method, path, operation))}</pre>"
    parameters = [
        (
            parameter["name"],
            parameter["in"],
            _type(parameter["schema"]),
            parameter.get("description", ""),
        )
        for parameter in operation.get("parameters", ())
    ]
    yield from _table(("parameter", "in", "type", "description"), parameters)
    body = operation.get("requestBody", {}).get("content", {})
    if body:
        yield f"<p>Body: {escape(', '.join(body))}; {_type_links(next(iter(body.values())))}"
    responses = [
        (status, response["description"], ", ".join(response.get("content", ())))
        for status, response in operation["responses"].items()
    ]
    yield from _table(("status", "when", "content"), responses)
    content = next(iter(operation["responses"].values())).get("content", {})
    if "application/json" in content:
        yield f"<p>Response: {_type_links(content['application/json'])}"
    yield "</section>"


def _curl(base: str, method: str, path: str, operation: Document) -> str:
    """Return a curl command for an operation, with the parameters that have an example."""
    query = []
    for parameter in operation.get("parameters", ()):
        for example in parameter["schema"].get("examples", ())[:1]:
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", example)
            elif parameter["in"] == "query":
                query.append(f"{parameter['name']}={example}")
    address = base + path + ("?" + "&".join(query) if query else "")
    content = operation.get("requestBody", {}).get("content", {})
    streams = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    command = ["curl", *(["-N"] if streams else [])]
    if method != ("POST" if content else "GET"):
        command += ["-X", method]
    command.append(shlex.quote(address) if query else address)
    lines = [" ".join(command)]
    if operation.get("security"):
        lines.append('  -H "Authorization: Bearer $TOKEN"')
    for content_type, media in list(content.items())[:1]:
        lines.append(f"  -H 'Content-Type: {content_type}'")
        body = json.dumps(media["example"], ensure_ascii=False)
        lines.append(f"  -d {shlex.quote(body)}")
    return " \\\n".join(lines)


def _webhooks(document: Document) -> Iterator[str]:
    for name, item in document.get("webhooks", {}).items():
        operation = item["post"]
        yield f"<section><h3><code>{escape(name)}</code></h3><p>{escape(operation['summary'])} "
        yield escape(operation["description"])
        media = operation["requestBody"]["content"]["application/json"]
        yield f"<pre>{escape(json.dumps(media['example'], indent=2, ensure_ascii=False))}</pre>"
        yield from _table(
            ("status", "effect"),
            [
                (status, response["description"])
                for status, response in operation["responses"].items()
            ],
        )
        yield "</section>"


def _schemas(document: Document) -> Iterator[str]:
    for title, schema in document["components"]["schemas"].items():
        yield f'<section id="schema-{escape(title)}"><h3>{escape(title)}</h3>'
        yield f"<p>{escape(schema.get('description', ''))}"
        required = schema.get("required", ())
        fields = schema.get("properties", {}).items()
        rows = [
            (name, _type(field), "required" if name in required else "", _description(field))
            for name, field in fields
        ]
        yield from _table(("field", "type", "required", "description"), rows)
        for name, field in fields:
            yield from _table((name, "description"), list(field.get("x-sentences", {}).items()))
        yield "</section>"


def _description(schema: Document) -> str:
    """Return the description of a value, with the names of an object's members."""
    description = str(schema.get("description", ""))
    members = ", ".join(schema.get("properties", ()))
    if description and members:
        return f"{description} Members: {members}."
    return description or members


def _type(schema: Document) -> str:
    """Return a short form of the type of a value."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}" if "items" in schema else "array"
    types = schema.get("type", "any")
    types = [types] if isinstance(types, str) else types
    return " or ".join([schema.get("format", types[0]), *types[1:]])


def _type_links(media: Document) -> str:
    """Return the type of a body, with links to its schemas."""
    schema = media["schema"]
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schema))
    links = [f'<a href="#schema-{name}">{name}</a>' for name in dict.fromkeys(names)]
    return ", ".join(links) or escape(_type(schema))


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield '<div class="table" tabindex="0"><table><tr>' + "".join(
            f"<th>{escape(text)}" for text in heads
        )
        for row in rows:
            yield "<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) + "\n"
        yield "</table></div>"
