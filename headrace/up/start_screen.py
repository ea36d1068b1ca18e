"""The terminal output of `headrace up`: one line per step, then the first commands to run."""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from headrace.errors import RoleFailedError, UserError
from headrace.local.data_dir import DataDir
from headrace.local.options import address_of
from headrace.local.saved_options import FILE_NAME, SavedOptions
from headrace.ops.status.slow_codec import slow_codec
from headrace.up.supervised_process import STOPPED
from schemas.postgres_url import parse_postgres_url
from schemas.settings import Settings

_READY = """
[bold green]headrace is ready[/bold green] after {seconds:.1f} s. {sites}

Send it an event:

  [bold]curl {url}/api/event -H 'Content-Type: application/json' \\
    -d '{{"type":"pageview","site_id":"my-site","session_id":"s1","path":"/hello"}}'[/bold]

and query the row:

  [bold]{query}[/bold]

  API      {url}/docs
  Logs     {logs}
  Ctrl-C   stops everything; the data is kept

{page}
"""

#: After the first start in a data directory.
_READY_AGAIN = """
[bold green]headrace is ready[/bold green] after {seconds:.1f} s. API: {url}/docs · logs: {logs} · \
Ctrl-C stops everything
{sites}
{page}
"""

_OPEN_SITES = "Any site id is accepted; [bold]{command} sites add[/bold] registers a site."

_REGISTERED_SITES = """Only registered sites are accepted. Register yours with

  [bold]{command} sites add my-site --data-dir {data_dir}[/bold]"""

_SIMULATE = """Simulate visitors:

  [bold]{command} demo --to {url}[/bold]

"""

_PAGE = """The dashboard:
[bold]{url}/?access_token={token}[/bold]"""

_NO_PAGE = """{host} is reachable from other machines, so reading needs a token. Create one with

  [bold]{command} tokens create --all --data-dir {data_dir}[/bold]

and enter it in the dashboard:
[bold]{url}/[/bold]"""


class Screen:
    """Writes to a terminal, or plain lines to a file or pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self) -> None:
        """Print the name and version, and a warning if the slow codec is active."""
        self._print(f"[bold]headrace[/bold] {version('headrace')}")
        if problem := slow_codec():
            self.notify(f"{problem.what}. To fix this, {problem.do}")

    def remembered(self, options: SavedOptions, data_dir: Path) -> None:
        """Print which options of an earlier start apply, and how to change that."""
        kafka, database = options.kafka, options.database
        found = [
            *([f"--kafka {kafka}"] if kafka else []),
            *([f"--database {self.shown(database)}"] if database else []),
        ]
        if found:
            file = self.shown(data_dir.absolute() / FILE_NAME)
            self._print(
                f"  Using {escape(' '.join(found))} of an earlier start. To use others, give the "
                f"options again; to use the defaults, delete {escape(file)}"
            )

    def step(self, name: str, work: Callable[[], str]) -> None:
        """Run a step, and print a green tick with its result, or a red cross if it fails.

        A `RoleFailedError` is printed with the name of the role that failed, not with `name`.
        """
        started_at = time.monotonic()
        try:
            with self._console.status(f"{escape(name)} …"):
                outcome = work()
        except UserError as error:
            failed = error.role if isinstance(error, RoleFailedError) else name
            what = error.what if isinstance(error, RoleFailedError) else "failed"
            self._print(f"  [red]✗[/red] {escape(failed):<9} {escape(what)}")
            raise
        seconds = time.monotonic() - started_at
        self._print(
            f"  [green]✓[/green] {escape(name):<9} {escape(outcome)} [dim]{seconds:.1f} s[/dim]"
        )

    def stop(self, name: str, work: Callable[[], str]) -> None:
        """Stop a process and print how it exited."""
        with self._console.status(f"{escape(name)} …"):
            outcome = work()
        sign = "-" if outcome == STOPPED else "[yellow]![/yellow]"
        self._print(f"  {sign} {escape(name):<9} {escape(outcome)}")

    def ready(
        self,
        settings: Settings,
        data_dir: DataDir,
        seconds: float,
        token: str | None,
        *,
        is_first: bool,
    ) -> None:
        """Print that headrace is ready, and the dashboard link in the last line.

        The first start in a data directory also prints the first commands to run.
        """
        url = address_of(settings.api)
        page = _PAGE if token else _NO_PAGE
        sites = _OPEN_SITES if settings.api.sites == "open" else _REGISTERED_SITES
        names = {
            "command": escape(self._command()),
            "data_dir": escape(self.shown(data_dir.root)),
        }
        if is_first and token:
            page = _SIMULATE + page
        self._print(
            (_READY if is_first else _READY_AGAIN)
            .format(
                seconds=seconds,
                url=escape(url),
                sites=sites.format(**names),
                page=page.format(
                    **names, url=escape(url), host=escape(settings.api.host), token=token
                ),
                query=escape(self._query(settings.database.url)),
                logs=escape(self.shown(data_dir.root / "logs")),
            )
            .rstrip("\n")
        )

    def notify(self, sentence: str, log: Path | None = None) -> None:
        """Print a notice, with the log file that has the details."""
        details = f" (log: {escape(self.shown(log))})" if log else ""
        self._print(f"  [yellow]![/yellow] {escape(sentence)}{details}")

    def stopping(self) -> None:
        """Print that the shutdown has started."""
        self._print("\nStopping; press Ctrl-C again to kill all processes.")

    def _print(self, text: str) -> None:
        # The output may be a file on a full disk, or a closed terminal.
        with suppress(OSError):
            self._console.print(text, highlight=False, soft_wrap=True)

    def shown(self, location: str | Path) -> str:
        """Return a path relative to the working directory, or a URL without its password."""
        text = str(location)
        if text.startswith("postgres"):
            return parse_postgres_url(text).redacted
        path = Path(text.removeprefix("sqlite:///"))
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def _command(self) -> str:
        """Return the command that runs headrace, with its path if it is not in PATH."""
        program = sys.argv[0]
        is_in_path = shutil.which("headrace") or Path(program).name != "headrace"
        return "headrace" if is_in_path else self.shown(program)

    def _query(self, url: str) -> str:
        columns = "select type, path, event_ts from events"
        if url.startswith("postgres"):
            return f'psql {shlex.quote(self.shown(url))} -c "{columns}"'
        if shutil.which("sqlite3"):
            return f'sqlite3 {shlex.quote(self.shown(url))} "{columns}"'
        rows = f"sqlite3.connect({json.dumps(self.shown(url))}).execute({json.dumps(columns)})"
        return f"python3 -c {shlex.quote(f'import sqlite3; [print(*row) for row in {rows}]')}"
