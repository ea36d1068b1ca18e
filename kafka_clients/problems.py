"""Explanations of Kafka errors that only an operator can fix, with what to change."""

import ssl
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from schemas.topics import Topic

_AUTHORIZATION_ERRORS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
_AUTHENTICATION_ERRORS = (
    SaslAuthenticationFailed,
    AuthenticationFailedError,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)
_SIZE_ERRORS = (MessageSizeTooLargeError, RecordListTooLargeError)
_ACL_HINT = "grant the ACLs that docs/kafka.md lists"
_LOGIN_HINT = "check HEADRACE_KAFKA__SASL_MECHANISM, …__SASL_USERNAME and …__SASL_PASSWORD"
_CERTIFICATE_HINT = (
    "HEADRACE_KAFKA__SSL_CA_FILE must hold the certificate that signed it, and "
    "…__BOOTSTRAP_SERVERS a host name that it is valid for"
)
_TLS_HINT = "check HEADRACE_KAFKA__SECURITY_PROTOCOL, and that the brokers trust …__SSL_CERT_FILE"
_SIZE_HINT = "set max.message.bytes of the topic to the value in docs/kafka.md"


class Cause(StrEnum):
    """The kind of a problem."""

    LOGIN = "login"
    ACCESS = "access"
    SIZE = "size"
    TOPIC = "topic"


class KafkaProblem(NamedTuple):
    """An error that only an operator can fix: `message` says what failed, `hint` what to do."""

    cause: Cause
    message: str
    hint: str

    @property
    def sentence(self) -> str:
        """The message and the hint, without a full stop."""
        return f"{self.message}: {self.hint}"


class RegistryError(ConnectionError):
    """A schema registry cannot be used. The message is a sentence with what to do."""


def explain_error(error: BaseException, servers: str, topic: str = "") -> KafkaProblem | None:
    """Explain an error of a client. Return None if it is transient or unrelated to Kafka.

    `servers` is the address in the message, and `topic` the topic if the error does not name it.
    """
    kafka = f"Kafka at {servers}"
    if isinstance(error, _AUTHORIZATION_ERRORS):
        return KafkaProblem(Cause.ACCESS, f"{kafka} {_denied(error, topic)}", _ACL_HINT)
    if isinstance(error, _AUTHENTICATION_ERRORS):
        return KafkaProblem(
            Cause.LOGIN, f"{kafka} rejects the login ({_detail(error)})", _LOGIN_HINT
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The certificate of {kafka} is not trusted ({error.verify_message})"
        return KafkaProblem(Cause.LOGIN, message, _CERTIFICATE_HINT)
    if isinstance(error, ssl.SSLError):
        message = f"{kafka} rejects the TLS connection ({error})"
        return KafkaProblem(Cause.LOGIN, message, _TLS_HINT)
    if isinstance(error, _SIZE_ERRORS):
        message = f"{kafka} rejects records{f' of {topic}' if topic else ''} as too large"
        return KafkaProblem(Cause.SIZE, message, _SIZE_HINT)
    return None


def topic_problems(topic: Topic, configs: Mapping[str, str]) -> Iterator[KafkaProblem]:
    """Yield the problems of a topic's configs. Retention and a larger record limit are allowed."""
    for name, expected in wrong_configs(topic, configs).items():
        actual = configs[name]
        value = f"[{expected}]" if "," in expected else expected
        yield KafkaProblem(
            Cause.TOPIC,
            f"The topic {topic.name} has {name}={actual} instead of {expected}, "
            f"and {CHECKED_CONFIGS[name]}",
            "set it with kafka-configs.sh --alter --entity-type topics --entity-name "
            f"{topic.name} --add-config {name}={value}",
        )


def wrong_configs(topic: Topic, configs: Mapping[str, str]) -> dict[str, str]:
    """Return the expected value of each wrong config, among those that results depend on."""
    return {
        name: expected
        for name, expected in topic.configs().items()
        if name in CHECKED_CONFIGS
        and name in configs
        and not _is_valid(name, configs[name], expected)
    }


#: The topic configs that results depend on, with the consequence of a wrong value.
CHECKED_CONFIGS = {
    "cleanup.policy": "records that are needed would be deleted",
    "message.timestamp.type": "timestamps would be set by producers",
    "max.message.bytes": "large records would be rejected",
}


def _is_valid(name: str, actual: str, expected: str) -> bool:
    if name == "max.message.bytes":
        return int(actual) >= int(expected)
    return {part.strip() for part in actual.split(",")} == set(expected.split(","))


def _denied(error: BaseException, topic: str) -> str:
    if isinstance(error, ClusterAuthorizationFailedError):
        return "does not allow this user the request on the cluster"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"does not allow this user READ on the consumer group{_named(error)}"
    return f"does not allow this user READ and WRITE on the topic{_named(error) or f' {topic}'}"


def _named(error: BaseException) -> str:
    """Return the names in an aiokafka error, which are a string or a collection, after a space."""
    names = error.args[0] if error.args else ""
    text = names if isinstance(names, str) else ", ".join(sorted(map(str, names)))
    return f" {text}" if text else ""


def _detail(error: BaseException) -> str:
    """Return the message of an error; aiokafka's may have a connection instead of one."""
    detail = error.args[0] if error.args else ""
    return detail if detail and isinstance(detail, str) else type(error).__name__
