"""The token in the page's address, for who runs headrace on this machine."""

import asyncio
import os
from pathlib import Path

from sqlalchemy import Connection

from infra.database import run_once
from schemas.settings import DatabaseSettings
from sinks.query import tokens

_NAME = "owner, made by headrace up"


def owner_token(file: Path, database: DatabaseSettings) -> str:
    """Return the token in `file`; a new one when there is none, or none that still works.

    The file is the only place that has it, and only its owner can read it.
    """
    known = file.read_text("ascii").strip() if file.exists() else ""

    def find_or_create(connection: Connection) -> str:
        if known and tokens.check(connection, known):
            return known
        return tokens.create(connection, _NAME, None)

    token = asyncio.run(run_once(database, find_or_create))
    if token != known:
        _write(file, token)
    return token


def _write(file: Path, token: str) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    place = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(place, "w", encoding="ascii") as out:
        out.write(token + "\n")
    unfinished.replace(file)
