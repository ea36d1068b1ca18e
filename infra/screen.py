"""What `headrace up` shows: a line a step, then what to try."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from infra.data_dir import DataDir
from infra.local import address_of
from schemas.settings import Settings

_READY = """
[bold green]headrace is ready[/bold green] after {seconds:.1f} s. Send it an event:

  [bold]curl {url}/api/event -H 'Content-Type: application/json' \\
    -d '{{"type":"pageview","site_id":"my-site","session_id":"s1","path":"/hello"}}'[/bold]

and see what became of it:

  [bold]{query}[/bold]

  API      {url}/docs
  Logs     {logs}
  Ctrl-C   ends everything in order; the data stays

{page}
"""

_PAGE = """See what happens now:

  [bold]{url}/?access_token={token}[/bold]

and make it move with simulated visitors:

  [bold]{command} demo --to {url}[/bold]
"""

_NO_PAGE = """Others can reach {host}, so nothing can be read there without a token. Make one with

  [bold]{command} tokens create --all --data-dir {data_dir}[/bold]

and open {url}/?access_token=<token>
"""


class Screen:
    """Writes to the terminal; plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self) -> None:
        """Say what this is."""
        self._console.print(f"[bold]headrace[/bold] {version('headrace')}", highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show that a step is under way; what is yielded is called with how it ended."""
        outcome = ""

        def done(told: str) -> None:
            nonlocal outcome
            outcome = told

        began = time.monotonic()
        with self._console.status(f"{name} …"):
            yield done
        seconds = time.monotonic() - began
        self._console.print(
            f"  [green]✓[/green] {name:<9} {outcome} [dim]{seconds:.1f} s[/dim]",
            highlight=False,
            soft_wrap=True,
        )

    def ready(
        self, settings: Settings, data_dir: DataDir, seconds: float, token: str | None
    ) -> None:
        """Say that all is ready and what to try; `token` is for the page's address."""
        url = address_of(settings.api)
        self._console.print(
            _READY.format(
                seconds=seconds,
                url=url,
                page=(_PAGE if token else _NO_PAGE).format(
                    command=self._command(),
                    url=url,
                    host=settings.api.host,
                    token=token,
                    data_dir=self.shown(data_dir.root),
                ),
                query=self._query(settings.database.url),
                logs=self.shown(data_dir.root / "logs"),
            ),
            highlight=False,
            soft_wrap=True,
        )

    def news(self, sentence: str, log: Path) -> None:
        """Tell what happened to a role."""
        self._console.print(
            f"  [yellow]![/yellow] {sentence} (log: {self.shown(log)})",
            highlight=False,
            soft_wrap=True,
        )

    def ending(self) -> None:
        """Say that the end has begun."""
        self._console.print("\nEnding in order; a second Ctrl-C ends at once.")

    def shown(self, place: str | Path) -> str:
        """Return a path, relative where that is shorter, or a URL without its password."""
        text = str(place)
        if text.startswith("postgresql://"):
            password = urlsplit(text).password
            return text.replace(f":{password}@", ":***@", 1) if password else text
        path = Path(text.removeprefix("sqlite:///"))
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def _command(self) -> str:
        """Return what starts headrace in this folder: its path when the shell would not find it."""
        started = sys.argv[0]
        found = shutil.which("headrace") or Path(started).name != "headrace"
        return "headrace" if found else self.shown(started)

    def _query(self, url: str) -> str:
        columns = "select type, path, event_ts from events"
        if url.startswith("postgresql://"):
            return f'psql {self.shown(url)} -c "{columns}"'
        return f'sqlite3 {self.shown(url)} "{columns}"'
