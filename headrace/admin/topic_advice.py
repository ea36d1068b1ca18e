"""What to do if Kafka rejects the creation of a topic."""

from aiokafka.errors import (
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    TopicAuthorizationFailedError,
)

from schemas.kafka_settings import KafkaSettings
from schemas.topics import OPTIONAL_CONFIGS, TOPICS

_IN_SYNC = "min.insync.replicas"


def creation_advice(code: int, detail: str, kafka: KafkaSettings, *, minimal: bool) -> str:
    """Return what to change, with the setting or the flag, for an error code and its message."""
    if code == InvalidReplicationFactorError.errno:
        return (
            f"HEADRACE_KAFKA__REPLICATION_FACTOR is {kafka.replication_factor}: set it to at most "
            "the number of brokers, or to -1 for the default of the brokers"
        )
    if code == InvalidPartitionsError.errno:
        return (
            f"HEADRACE_KAFKA__PARTITIONS is {kafka.partitions}: set it to what the cluster allows"
        )
    if code == TopicAuthorizationFailedError.errno:
        return "Grant the ACL CREATE, see docs/kafka.md"
    return _config_advice(_refused_config(detail), kafka, minimal=minimal)


def _config_advice(refused: str | None, kafka: KafkaSettings, *, minimal: bool) -> str:
    if refused in OPTIONAL_CONFIGS and not minimal:
        setting = ""
        if refused == _IN_SYNC:
            value = kafka.min_insync_replicas
            setting = f"Set HEADRACE_KAFKA__MIN_INSYNC_REPLICAS, which is {value}, or r"
        return (
            f"{setting or 'R'}un `headrace topics create --minimal`, which leaves {refused} to the "
            f"cluster; then {OPTIONAL_CONFIGS[refused]}"
        )
    if refused is not None:
        return f"headrace needs {refused}: let the cluster's administrator create the topic"
    if minimal:
        return "The administrator of the cluster can say which config it rejects"
    names = ", ".join(OPTIONAL_CONFIGS)
    return f"`headrace topics create --minimal` leaves {names} to the cluster"


def _refused_config(detail: str) -> str | None:
    names = {name for topic in TOPICS for name in topic.configs()} | OPTIONAL_CONFIGS.keys()
    # `min.insync.replicas` is no part of another name, but `retention.ms` is of
    # `delete.retention.ms`: the longest name is the one that is meant.
    found = [name for name in names if name in detail]
    return max(found, key=len, default=None)
