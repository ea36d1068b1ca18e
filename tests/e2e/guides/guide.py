"""A guide in `docs/guides`, whose commands and programs are run as a reader would run them."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import stamina

from tests.e2e.guides import toolchains
from tests.e2e.guides.snippets import Snippet, snippets
from tests.e2e.guides.terminal import Terminal

_ROOT = Path(__file__).parents[3]
#: A cold `go run` compiles all libraries.
_SECONDS = 180.0
#: A request that only reads.
_READ = re.compile(r"curl (?!.* -d |.*POST)", re.DOTALL)
_READ_SECONDS = 60.0


class Guide:
    """Runs sections of a guide in a folder; `addresses` replaces addresses in its text."""

    def __init__(self, name: str, folder: Path, addresses: Mapping[str, str]) -> None:
        self.folder = folder
        self._snippets = snippets(_ROOT / "docs" / "guides" / name)
        self._addresses = addresses
        (folder / "schemas").symlink_to(_ROOT / "schemas")
        binaries = Path(sys.executable).parent
        path = f"{binaries}:{toolchains.search_path()}"
        self._terminal = Terminal(folder, {**os.environ, "PATH": path, "GOFLAGS": "-mod=readonly"})

    def address(self, documented: str) -> str:
        """Return what replaces a documented port or address."""
        return self._addresses[documented]

    def run(self, section: str) -> None:
        """Save the programs and run the commands of a section; check what they print."""
        found = [snippet for snippet in self._snippets if snippet.section == section]
        assert found, f"no section {section!r} with code blocks"
        for snippet in found:
            self._run(snippet)

    def close(self) -> None:
        """End what still runs."""
        self._terminal.close()

    def _run(self, snippet: Snippet) -> None:
        text = self._replaced(snippet.text)
        if snippet.file:
            (self.folder / snippet.file).write_text(text, "utf-8")
            return
        assert snippet.language == "sh", f"cannot run a block of {snippet.language}: {text}"
        if toolchains.is_install(text):
            toolchains.install(text, self.folder)
            return
        toolchains.require(*text.split())
        output = self._replaced(snippet.output)
        if not _READ.search(text):
            self._terminal.run(text, output, _SECONDS)
            return
        # The result of earlier commands is not visible at once.
        for attempt in stamina.retry_context(AssertionError, attempts=None, timeout=_READ_SECONDS):
            with attempt:
                self._terminal.run(text, output, _SECONDS)

    def _replaced(self, text: str) -> str:
        for documented, address in self._addresses.items():
            text = re.sub(rf"\b{re.escape(documented)}\b", address, text)
        return text
