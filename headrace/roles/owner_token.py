"""The owner token, which `headrace up` puts into the dashboard link."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection

from headrace.admin.database import run_once
from headrace.local.disk_space import write_atomically
from query_api import tokens
from schemas.settings import DatabaseSettings

_NAME = "owner, created by headrace up"


def ensure_owner_token(file: Path, database: DatabaseSettings) -> str:
    """Return the token in `file`; replace it if it is missing, invalid or lacks the scope `manage`.

    The token exists only in this file, which only its owner can read.
    """
    current = file.read_text("ascii").strip() if file.exists() else ""

    def find_or_create(connection: Connection) -> str:
        grant = tokens.check(connection, current) if current else None
        if grant is not None and grant.scope == "manage":
            return current
        return tokens.create(connection, _NAME, None, "manage")

    token = asyncio.run(run_once(database, find_or_create))
    if token != current:
        write_atomically(file, f"{token}\n")
    return token
