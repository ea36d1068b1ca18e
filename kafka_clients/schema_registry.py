"""A client of Confluent-compatible schema registries.

Confluent's API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from kafka_clients.problems import RegistryError
from schemas.registry_settings import SchemaRegistrySettings

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_SECONDS = 10.0
_CONNECTIONS = 4
_SETTING = "HEADRACE_SCHEMA_REGISTRY__"

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


class SchemaRegistry:
    """Requests to a registry. Each method raises `RegistryError` if one fails."""

    def __init__(self, settings: SchemaRegistrySettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session

    @property
    def name(self) -> str:
        """The registry in messages."""
        return f"The schema registry at {self._settings.url}"

    async def find(self, subject: str, schema: str) -> int | None:
        """Return the id of a schema in a subject, None if it is not registered there."""
        status, body = await self._request("POST", f"/subjects/{_part(subject)}", schema=schema)
        return int(body["id"]) if status == _OK else None

    async def schema(self, schema_id: int) -> str | None:
        """Return the schema with an id, None if there is none."""
        status, body = await self._request("GET", f"/schemas/ids/{schema_id}")
        return str(body["schema"]) if status == _OK else None

    async def latest(self, subject: str) -> tuple[int, int] | None:
        """Return the version and the id of a subject's latest schema, None without one."""
        path = f"/subjects/{_part(subject)}/versions/latest"
        status, body = await self._request("GET", path)
        return (int(body["version"]), int(body["id"])) if status == _OK else None

    async def is_compatible(self, subject: str, schema: str) -> bool:
        """Return whether a schema is compatible with the latest one of a subject, if any."""
        path = f"/compatibility/subjects/{_part(subject)}/versions/latest"
        status, body = await self._request("POST", path, schema=schema)
        return status == _NOT_FOUND or bool(body["is_compatible"])

    async def register(self, subject: str, schema: str, schema_id: int | None = None) -> int:
        """Register a schema in a subject; return its id, which may differ from `schema_id`.

        An id can be requested only in an `importing` block. Idempotent.
        """
        path = f"/subjects/{_part(subject)}/versions"
        requested = {} if schema_id is None else {"id": schema_id}
        status, body = await self._request("POST", path, schema=schema, **requested)
        if status == _NOT_FOUND:
            raise RegistryError(f"{self.name} has no API of schema registries: is the path right?")
        return int(body["id"])

    @asynccontextmanager
    async def importing(self, subject: str) -> AsyncIterator[None]:
        """Set a subject to the mode IMPORT, in which the ids of new schemas can be chosen."""
        path = f"/mode/{_part(subject)}"
        status, before = await self._request("GET", f"{path}?defaultToGlobal=false")
        # `force`: the subject may have earlier versions, which keep their ids.
        _, _ = await self._request("PUT", f"{path}?force=true", mode="IMPORT")
        try:
            yield
        finally:
            if status == _OK:
                await self._request("PUT", path, mode=before["mode"])
            else:
                await self._reset_mode(path)

    async def _reset_mode(self, path: str) -> None:
        try:
            await self._request("DELETE", path)
        except RegistryError:  # older registries cannot delete a mode
            await self._request("PUT", path, mode="READWRITE")

    async def _request(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        """Return the status, 200 or 404, and the decoded body of a response."""
        url = URL(self._settings.url + path, encoded=True)
        try:
            async with self._session.request(method, url, json=body or None) as response:
                found = await response.json(content_type=None)
                status = response.status
        except aiohttp.ClientConnectorCertificateError as error:
            raise RegistryError(
                f"The certificate of {self.name[0].lower()}{self.name[1:]} is not trusted "
                f"({error.certificate_error}): {_SETTING}SSL_CA_FILE must hold the certificate "
                "that signed it"
            ) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise RegistryError(
                f"{self.name} cannot be reached ({reason}): start it, or correct {_SETTING}URL"
            ) from error
        if status in {_OK, _NOT_FOUND}:
            return status, found
        message = found.get("message", "") if isinstance(found, dict) else ""
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise RegistryError(
                f"{self.name} rejects the login ({message or status}): check {_SETTING}USERNAME "
                f"and {_SETTING}PASSWORD"
            )
        raise RegistryError(f"{self.name} answers {method} {path} with {status}: {message}")


@asynccontextmanager
async def open_registry(settings: SchemaRegistrySettings) -> AsyncIterator[SchemaRegistry]:
    """Yield a client. Raises `RegistryError` if the CA file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file or None)
    except ssl.SSLError:
        raise RegistryError(
            f"{_SETTING}SSL_CA_FILE names {settings.ssl_ca_file}, which holds no certificates in "
            "PEM"
        ) from None
    headers = {"Content-Type": _CONTENT_TYPE, "Accept": f"{_CONTENT_TYPE}, application/json"}
    if password := settings.password.get_secret_value():
        headers["Authorization"] = aiohttp.encode_basic_auth(settings.username, password, "utf-8")
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=context),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
    )
    async with session:
        yield SchemaRegistry(settings, session)


def _part(name: str) -> str:
    return quote(name, safe="")
