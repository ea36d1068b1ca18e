"""Consoles for tables, and escaping of untrusted text."""

from rich.console import Console
from rich.text import Text

#: The width of tables in files and pipes: wide enough that ids are not wrapped.
_WIDE = 200


def table_console() -> Console:
    """Return a console for tables; without a terminal it is `_WIDE` columns wide."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def visible(text: str) -> Text:
    """Return untrusted text with control characters escaped, so that it is safe on a terminal."""
    return Text(
        "".join(
            character if character.isprintable() else ascii(character)[1:-1] for character in text
        )
    )
