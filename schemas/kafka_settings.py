"""The Kafka settings: brokers, security, names and topic configuration."""

import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.brokers import normalize_brokers
from schemas.secret_files import is_readable, read_secret_file

_PREFIX = "HEADRACE_KAFKA__"
_TOPIC_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
Compression = Literal["zstd", "gzip", "snappy", "lz4", "none"]


class KafkaSettings(BaseModel):
    """Brokers, security, the topic prefix, and the configuration of new topics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", description="host:port, comma-separated; IPv6 as [::1]:9092"
    )
    security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`"
    )
    sasl_mechanism: SaslMechanism = Field(
        "",
        description="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`; only with SASL",
    )
    sasl_username: str = Field("", description="for PLAIN and SCRAM")
    sasl_password: SecretStr = Field(
        SecretStr(""), description="for PLAIN and SCRAM; the token for OAUTHBEARER"
    )
    sasl_password_file: str = Field(
        "",
        description="a file with the password; a token is read again for each connection",
    )
    ssl_ca_file: str = Field(
        "", description="CA certificates (PEM) of the brokers; empty: those of the system"
    )
    ssl_cert_file: str = Field(
        "", description="the client certificate (PEM), if brokers require one"
    )
    ssl_key_file: str = Field(
        "",
        description="its private key (PEM, not encrypted); empty: in the certificate file",
    )
    topic_prefix: str = Field(
        "",
        description="prefix of all topics and consumer groups, such as `staging-`; fixed when the "
        "topics are created",
    )
    compression: Compression = Field(
        "none",  # as Kafka's producers; all clients can read it (ADR 71)
        description="of records: `zstd`, `snappy`, `lz4`, `gzip` or `none`; zstd stores a fifth of "
        "the bytes, gzip and lz4 need the most CPU time",
    )
    partitions: int = Field(
        12, ge=1, le=1000, description="partitions of each topic; `headrace repartition` adds more"
    )
    replication_factor: int = Field(
        1, ge=-1, le=7, description="replicas of each partition; -1: the brokers' default"
    )
    min_insync_replicas: int = Field(
        1, ge=1, le=7, description="in-sync replicas required to accept an event"
    )
    max_refused_in_a_row: int = Field(
        50,
        ge=1,
        description="consecutive dead letters after which the circuit breaker stops the partition",
    )

    @property
    def has_tls(self) -> bool:
        """True if connections are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def has_sasl(self) -> bool:
        """True if clients authenticate with SASL."""
        return self.security_protocol.startswith("SASL_")

    @model_validator(mode="before")
    @classmethod
    def _read_password(cls, values: object) -> object:
        return read_secret_file(values, f"{_PREFIX}SASL_PASSWORD", "sasl_password")

    @field_validator("bootstrap_servers")
    @classmethod
    def _brokers(cls, text: str) -> str:
        return normalize_brokers(text)

    @field_validator("ssl_ca_file", "ssl_cert_file", "ssl_key_file")
    @classmethod
    def _is_readable(cls, file: str) -> str:
        if file and not is_readable(file):
            raise ValueError("it is not a readable file")
        return file

    @field_validator("replication_factor")
    @classmethod
    def _is_not_zero(cls, replicas: int) -> int:
        if replicas == 0:
            raise ValueError("must be 1 to 7, or -1 for the brokers' default")
        return replicas

    @field_validator("topic_prefix")
    @classmethod
    def _is_valid_prefix(cls, prefix: str) -> str:
        if not _TOPIC_PREFIX.fullmatch(prefix):
            raise ValueError("must be at most 100 characters from A-Z a-z 0-9 . _ -")
        return prefix

    @model_validator(mode="after")
    def _are_consistent(self) -> Self:
        for problem in self._inconsistencies():
            raise ValueError(f"{_PREFIX}{problem}")
        return self

    def _inconsistencies(self) -> Iterator[str]:
        """Yield missing settings and settings without effect, each beginning with its name."""
        protocol = f"{_PREFIX}SECURITY_PROTOCOL"
        if self.has_sasl and not self.sasl_mechanism:
            yield f"SASL_MECHANISM is missing: {protocol} is {self.security_protocol}"
        if self.has_sasl and not self.sasl_username and self.sasl_mechanism != "OAUTHBEARER":
            yield f"SASL_USERNAME is missing: {self.sasl_mechanism} needs it"
        if self.has_sasl and not self.sasl_password.get_secret_value():
            yield f"SASL_PASSWORD, or its _FILE, is missing: {self.sasl_mechanism} needs it"
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if not self.has_sasl and getattr(self, name) not in {"", SecretStr("")}:
                yield f"{name.upper()} needs {protocol} SASL_SSL or SASL_PLAINTEXT"
        for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
            if not self.has_tls and getattr(self, name):
                yield f"{name.upper()} needs {protocol} SSL or SASL_SSL"
        if self.ssl_key_file and not self.ssl_cert_file:
            yield f"SSL_CERT_FILE is missing: {_PREFIX}SSL_KEY_FILE is set"
