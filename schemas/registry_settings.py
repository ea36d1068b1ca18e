"""The settings of a Confluent-compatible schema registry."""

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.secret_files import is_readable, read_secret_file

_PREFIX = "HEADRACE_SCHEMA_REGISTRY__"
_URL = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")


class SchemaRegistrySettings(BaseModel):
    """A schema registry. Records are written with its schema ids."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field("", description="http:// or https:// URL; empty: headrace's own schema ids")
    username: str = Field("", description="for basic authentication, or the API key")
    password: SecretStr = Field(SecretStr(""), description="for basic authentication")
    password_file: str = Field("", description="a file with the password")
    ssl_ca_file: str = Field(
        "", description="CA certificates (PEM) of the registry; empty: those of the system"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_password(cls, values: object) -> object:
        return read_secret_file(values, f"{_PREFIX}PASSWORD", "password")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not _URL.fullmatch(url):
            raise ValueError(
                "must be http:// or https://, a host, and an optional path, without a user: "
                f"https://registry.example:8081. Set the user with {_PREFIX}USERNAME"
            )
        return url.rstrip("/")

    @field_validator("ssl_ca_file")
    @classmethod
    def _is_readable(cls, file: str) -> str:
        if file and not is_readable(file):
            raise ValueError("it is not a readable file")
        return file

    @model_validator(mode="after")
    def _are_consistent(self) -> Self:
        has_password = bool(self.password.get_secret_value())
        if self.username and not has_password:
            raise ValueError(f"{_PREFIX}PASSWORD, or its _FILE, is missing: USERNAME is set")
        if has_password and not self.username:
            raise ValueError(f"{_PREFIX}USERNAME is missing: PASSWORD is set")
        if self.ssl_ca_file and not self.url.startswith("https://"):
            raise ValueError(f"{_PREFIX}SSL_CA_FILE needs {_PREFIX}URL to begin with https://")
        return self
