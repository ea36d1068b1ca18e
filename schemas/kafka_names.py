"""The names of topics and consumer groups in Kafka: an installation may put a prefix before all.

One process belongs to one installation. The prefix is set once, when the settings are read.
"""

_prefix = ""


def use_prefix(prefix: str) -> None:
    """Put `prefix` before the name of each topic and consumer group, in this process."""
    global _prefix  # noqa: PLW0603 - names are asked for everywhere, and never differ
    _prefix = prefix


def prefixed(name: str) -> str:
    """Return the name in Kafka of a topic or consumer group of headrace."""
    return f"{_prefix}{name}"
