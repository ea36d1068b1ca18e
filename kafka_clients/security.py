"""TLS and SASL options of aiokafka clients."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from schemas.kafka_settings import KafkaSettings
from schemas.settings import PREFIX, SettingsError

_PREFIX = f"{PREFIX}KAFKA__"


def security_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the security options. Raise `SettingsError` if a certificate cannot be used."""
    options: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.has_tls:
        options["ssl_context"] = ssl_context(kafka)
    if not kafka.has_sasl:
        return options
    options["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _TokenProvider(kafka)
    else:
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


def check_security(kafka: KafkaSettings) -> None:
    """Raise `SettingsError` if a certificate or key file cannot be used."""
    security_options(kafka)


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names, with the client's certificate.

    Raises `SettingsError` with the setting whose file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file or None)
    except ssl.SSLError:
        raise SettingsError(
            f"{_PREFIX}SSL_CA_FILE names {kafka.ssl_ca_file}, which holds no certificates in PEM"
        ) from None
    if kafka.ssl_cert_file:
        _load_client_certificate(context, kafka)
    return context


def _load_client_certificate(context: ssl.SSLContext, kafka: KafkaSettings) -> None:
    name = "SSL_KEY_FILE" if kafka.ssl_key_file else "SSL_CERT_FILE"
    key = kafka.ssl_key_file or kafka.ssl_cert_file

    def reject_encrypted() -> str:  # otherwise Python prompts for a password
        raise SettingsError(
            f"{_PREFIX}{name} names {key}, whose private key is encrypted: store it without a "
            "password, readable by this user alone"
        )

    try:
        context.load_cert_chain(kafka.ssl_cert_file, kafka.ssl_key_file or None, reject_encrypted)
    except ssl.SSLError as error:
        reason = (
            "of another certificate"
            if "MISMATCH" in (error.reason or "")
            else "in PEM, or there is no certificate before it"
        )
        raise SettingsError(
            f"{_PREFIX}SSL_CERT_FILE names {kafka.ssl_cert_file}, and {_PREFIX}{name} names {key}: "
            f"together they hold no certificate with its private key (it is {reason})"
        ) from None


class _TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """The OAUTHBEARER token. A token file is read again for each connection."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def token(self) -> str:
        """Return the token. Raise `OSError` if its file cannot be read."""
        if not self._kafka.sasl_password_file:
            return self._kafka.sasl_password.get_secret_value()
        path = Path(self._kafka.sasl_password_file)
        return (await asyncio.to_thread(path.read_text, "utf-8")).strip()
