"""The examples in `schemas/examples`: valid requests, and invalid ones with their errors."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemas
from schemas.reject_reasons import ACCESS_REASONS, NOT_IN_KAFKA, RejectReason

FOLDER = Path(schemas.__file__).parent / "examples"
VALID = FOLDER / "valid"
INVALID = FOLDER / "invalid"

#: Reasons that do not depend on the body, but on the path, the connection, the site or the server.
INDEPENDENT_OF_BODY = frozenset(
    {
        RejectReason.NOT_FOUND,
        RejectReason.METHOD_NOT_ALLOWED,
        RejectReason.DIALECT_DISABLED,
        RejectReason.NO_DIALECT,
        RejectReason.BAD_REQUEST,
        RejectReason.REQUEST_TOO_SLOW,
        RejectReason.HEADERS_TOO_LARGE,
        *ACCESS_REASONS,
        *NOT_IN_KAFKA,
        RejectReason.BAD_IP,  # without a key, any ip is accepted
        RejectReason.INTERNAL_ERROR,
        RejectReason.NOT_READY,
        RejectReason.OVERLOADED,
        RejectReason.SHUTTING_DOWN,
    }
)


@dataclass(frozen=True)
class Invalid:
    """A request that is rejected; `code` is the name of its folder."""

    code: str
    path: str
    body: bytes
    headers: dict[str, str]
    expect: dict[str, Any]


def read_invalid(file: Path) -> Invalid:
    """Read a file of `invalid`: `body` is JSON, `text` a string, `raw_base64` bytes."""
    content = json.loads(file.read_text())
    if "raw_base64" in content:
        body = base64.b64decode(content["raw_base64"])
    else:
        text = (
            content["text"]
            if "text" in content
            else json.dumps(content["body"], ensure_ascii=False)
        )
        body = text.encode()
    return Invalid(
        file.parent.name,
        content.get("path", "/api/event"),
        body,
        content.get("headers", {}),
        content["expect"],
    )


def label(file: Path) -> str:
    """Return the test id of an example."""
    return f"{file.parent.name}/{file.stem}"
