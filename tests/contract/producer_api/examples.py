"""The examples in `schemas/examples`: what the API takes, and what it refuses and how."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemas
from schemas.reject_reasons import NOT_IN_KAFKA, RejectReason

FOLDER = Path(schemas.__file__).parent / "examples"
VALID = FOLDER / "valid"
INVALID = FOLDER / "invalid"

#: Refusals that no body provokes: they are told of paths, of connections, of the server.
NOT_OF_A_BODY = frozenset(
    {
        RejectReason.NOT_FOUND,
        RejectReason.METHOD_NOT_ALLOWED,
        RejectReason.BAD_REQUEST,
        RejectReason.REQUEST_TOO_SLOW,
        RejectReason.HEADERS_TOO_LARGE,
        *NOT_IN_KAFKA,
        RejectReason.INTERNAL_ERROR,
        RejectReason.NOT_READY,
        RejectReason.OVERLOADED,
        RejectReason.SHUTTING_DOWN,
    }
)


@dataclass(frozen=True)
class Invalid:
    """A request that is refused; `code` is the name of its folder."""

    code: str
    path: str
    body: bytes
    headers: dict[str, str]
    expect: dict[str, Any]


def read_invalid(file: Path) -> Invalid:
    """Read one file of `invalid`: `body` is JSON, `text` is as it is, `raw_base64` any bytes."""
    told = json.loads(file.read_text())
    if "raw_base64" in told:
        body = base64.b64decode(told["raw_base64"])
    else:
        text = told["text"] if "text" in told else json.dumps(told["body"], ensure_ascii=False)
        body = text.encode()
    return Invalid(
        file.parent.name,
        told.get("path", "/api/event"),
        body,
        told.get("headers", {}),
        told["expect"],
    )


def label(file: Path) -> str:
    """Return how a test names an example."""
    return f"{file.parent.name}/{file.stem}"
