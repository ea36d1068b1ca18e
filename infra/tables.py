"""Tables for people and for pipes, and texts of strangers in them."""

from rich.console import Console
from rich.text import Text

#: Of a table that goes to a file or a pipe: ids stay on one line there.
_WIDE = 200


def table_console() -> Console:
    """Return the console for a table; where there is no terminal, it is wide."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def visible(text: str) -> Text:
    """Return a stranger's text for the screen: what would steer the terminal is spelled out."""
    return Text(
        "".join(
            character if character.isprintable() else ascii(character)[1:-1] for character in text
        )
    )
