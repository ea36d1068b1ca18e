"""The prefix of topics and consumer groups of this installation.

It is set once per process, when the settings are loaded.
"""

_prefix = ""


def use_prefix(prefix: str) -> None:
    """Set the prefix of all topics and consumer groups in this process."""
    global _prefix  # noqa: PLW0603 - constant after start
    _prefix = prefix


def prefixed(name: str) -> str:
    """Return the name of a topic or consumer group with the prefix."""
    return f"{_prefix}{name}"
