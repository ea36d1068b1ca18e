"""The token in the page's address, for who runs headrace on this machine."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection

from infra.database import run_once
from infra.disk import write_whole
from schemas.settings import DatabaseSettings
from sinks.query import tokens

_NAME = "owner, made by headrace up"


def owner_token(file: Path, database: DatabaseSettings) -> str:
    """Return the token in `file`; a new one when it does not work, or cannot manage all sites.

    The file is the only place that has it, and only its owner can read it.
    """
    known = file.read_text("ascii").strip() if file.exists() else ""

    def find_or_create(connection: Connection) -> str:
        grant = tokens.check(connection, known) if known else None
        if grant is not None and grant.scope == "manage":
            return known
        return tokens.create(connection, _NAME, None, "manage")

    token = asyncio.run(run_once(database, find_or_create))
    if token != known:
        write_whole(file, f"{token}\n")
    return token
