"""The fenced code blocks of a Markdown document."""

import re
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(
    r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w*)[ a-z]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"(?:#|//|<!--) (\w[\w.-]*\.\w+)(?: -->)?\n")


class Snippet(NamedTuple):
    """A code block with a language, and the block without a language that follows: its output."""

    #: The heading above it.
    section: str
    language: str
    text: str
    output: str

    @property
    def file(self) -> str:
        """The file name in a comment on the first line; "" if there is none."""
        found = _FILE.match(self.text)
        return found[1] if found else ""


def snippets(path: Path) -> list[Snippet]:
    """Return the code blocks of a document, in order."""
    found: list[Snippet] = []
    section = ""
    for part in _PART.finditer(path.read_text("utf-8")):
        if part["heading"] is not None:
            section = part["heading"]
        elif part["language"]:
            found.append(Snippet(section, part["language"], part["text"], ""))
        else:
            found[-1] = found[-1]._replace(output=part["text"])
    return found
