"""What Kafka refuses, each as one sentence that says what to change. Pure."""

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

_AUTHORIZATION = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
_LOGIN = (
    SaslAuthenticationFailed,
    AuthenticationFailedError,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)
_SIZE = (MessageSizeTooLargeError, RecordListTooLargeError)
_ALLOW = "give it the ACLs that docs/kafka.md names"
_LOG_IN = "check HEADRACE_KAFKA__SASL_MECHANISM, …__SASL_USERNAME and …__SASL_PASSWORD"
_TRUST = (
    "HEADRACE_KAFKA__SSL_CA_FILE must hold the certificate that signed it, and "
    "…__BOOTSTRAP_SERVERS a name that it is for"
)
_ENCRYPT = "check HEADRACE_KAFKA__SECURITY_PROTOCOL, and that the brokers trust …__SSL_CERT_FILE"
_TAKE_MORE = "set max.message.bytes of the topic to that of docs/kafka.md"


class Cause(StrEnum):
    """The kind of a refusal."""

    LOGIN = "login"
    ACCESS = "access"
    SIZE = "size"
    TOPIC = "topic"


class Refusal(NamedTuple):
    """What Kafka refuses, and what to do about it: `what` is a sentence, `do` goes on with it."""

    cause: Cause
    what: str
    do: str

    @property
    def sentence(self) -> str:
        """Both, without a full stop."""
        return f"{self.what}: {self.do}"


def refusal_of(error: BaseException, servers: str, topic: str = "") -> Refusal | None:
    """Return what an error of a client says that Kafka refuses; None for any other error.

    `servers` is the address that the sentence names; `topic` is what was read or written, where
    the error does not say.
    """
    kafka = f"Kafka at {servers}"
    if isinstance(error, _AUTHORIZATION):
        return Refusal(Cause.ACCESS, f"{kafka} {_denied(error, topic)}", _ALLOW)
    if isinstance(error, _LOGIN):
        return Refusal(Cause.LOGIN, f"{kafka} refuses the login ({_detail(error)})", _LOG_IN)
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"The certificate of {kafka} is not trusted ({error.verify_message})"
        return Refusal(Cause.LOGIN, what, _TRUST)
    if isinstance(error, ssl.SSLError):
        what = f"{kafka} refuses the TLS connection ({error})"
        return Refusal(Cause.LOGIN, what, _ENCRYPT)
    if isinstance(error, _SIZE):
        what = f"{kafka} refuses records{f' of {topic}' if topic else ''} as too large"
        return Refusal(Cause.SIZE, what, _TAKE_MORE)
    return None


def topic_faults(topic: Topic, configs: Mapping[str, str]) -> Iterator[Refusal]:
    """Yield what is wrong with the settings of a topic; `configs` are in Kafka's own names.

    Retention is the operator's choice, and a topic may take larger records than it must.
    """
    for name, wanted in wrong_settings(topic, configs).items():
        found = configs[name]
        value = f"[{wanted}]" if "," in wanted else wanted
        yield Refusal(
            Cause.TOPIC,
            f"The topic {topic.name} has {name}={found} instead of {wanted}, and {_CHECKED[name]}",
            "set it with kafka-configs.sh --alter --entity-type topics --entity-name "
            f"{topic.name} --add-config {name}={value}",
        )


def wrong_settings(topic: Topic, configs: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that results depend on and that differ, with the right values."""
    return {
        name: wanted
        for name, wanted in topic.configs().items()
        if name in _CHECKED and name in configs and not _fits(name, configs[name], wanted)
    }


#: The settings of a topic that results depend on, and why.
_CHECKED = {
    "cleanup.policy": "records that are needed would be deleted",
    "message.timestamp.type": "time would be that of its producers",
    "max.message.bytes": "large records would be refused",
}


def _fits(name: str, found: str, wanted: str) -> bool:
    if name == "max.message.bytes":
        return int(found) >= int(wanted)
    return {part.strip() for part in found.split(",")} == set(wanted.split(","))


def _denied(error: BaseException, topic: str) -> str:
    if isinstance(error, ClusterAuthorizationFailedError):
        return "does not allow this user the request on the cluster"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"does not allow this user READ on the consumer group{_named(error)}"
    return f"does not allow this user READ and WRITE on the topic{_named(error) or f' {topic}'}"


def _named(error: BaseException) -> str:
    """Return the names that aiokafka gives an error: a text, or a collection of texts."""
    names = error.args[0] if error.args else ""
    text = names if isinstance(names, str) else ", ".join(sorted(map(str, names)))
    return f" {text}" if text else ""


def _detail(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
