"""How a client is encrypted and authenticated, as aiokafka's options."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from schemas.kafka_settings import KafkaSettings
from schemas.settings import PREFIX, SettingsError

_PREFIX = f"{PREFIX}KAFKA__"


def security_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the options of a connection; `SettingsError` when a certificate cannot be used."""
    options: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.has_tls:
        options["ssl_context"] = ssl_context(kafka)
    if not kafka.has_sasl:
        return options
    options["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _Token(kafka)
    else:
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


def check_security(kafka: KafkaSettings) -> None:
    """Raise `SettingsError` when a file of the settings does not hold what it should."""
    security_options(kafka)


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return what verifies the brokers' certificates and host names, and holds the client's own.

    `SettingsError` names the setting whose file holds something else.
    """
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file or None)
    except ssl.SSLError:
        raise SettingsError(
            f"{_PREFIX}SSL_CA_FILE names {kafka.ssl_ca_file}, which holds no certificates in PEM"
        ) from None
    if kafka.ssl_cert_file:
        _load_own(context, kafka)
    return context


def _load_own(context: ssl.SSLContext, kafka: KafkaSettings) -> None:
    name = "SSL_KEY_FILE" if kafka.ssl_key_file else "SSL_CERT_FILE"
    key = kafka.ssl_key_file or kafka.ssl_cert_file

    def is_encrypted() -> str:  # without this, Python asks for a password at the terminal
        raise SettingsError(
            f"{_PREFIX}{name} names {key}, whose private key is encrypted: store it without a "
            "password, readable by this user alone"
        )

    try:
        context.load_cert_chain(kafka.ssl_cert_file, kafka.ssl_key_file or None, is_encrypted)
    except ssl.SSLError as error:
        fault = (
            "of another certificate"
            if "MISMATCH" in (error.reason or "")
            else "in PEM, or there is no certificate before it"
        )
        raise SettingsError(
            f"{_PREFIX}SSL_CERT_FILE names {kafka.ssl_cert_file}, and {_PREFIX}{name} names {key}: "
            f"together they hold no certificate with its private key (it is {fault})"
        ) from None


class _Token(AbstractTokenProvider):  # type: ignore[misc]
    """The token of OAUTHBEARER: read again for each connection, where a file holds it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def token(self) -> str:
        """Return the token; `OSError` when its file is gone."""
        if not self._kafka.sasl_password_file:
            return self._kafka.sasl_password.get_secret_value()
        path = Path(self._kafka.sasl_password_file)
        return (await asyncio.to_thread(path.read_text, "utf-8")).strip()
