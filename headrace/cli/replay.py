"""`headrace replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.target import ToOption, base_url, checked_site
from headrace.local.data_dir_option import TargetDataDirOption

if TYPE_CHECKING:
    from headrace.traffic.replay.report import Report
    from headrace.traffic.replay.run import Options


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="JSON lines, a JSON array, or CSV whose header has the API's field names (such as "
            "screen.width); optionally gzipped. `-` is standard input.",
        ),
    ],
    to: ToOption = None,
    data_dir: TargetDataDirOption = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Events per second (default: unlimited)."),
    ] = None,
    site_id: Annotated[str | None, typer.Option(help="Replace the site_id of all events.")] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="THEIRS=OURS",
            help="Rename a field or column, with dots for nested ones; may be repeated.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Token of `headrace tokens create --manage`, to open import windows, in which "
            "timestamps may have any age (default: that of `headrace up` on this machine).",
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL of `headrace query`, if it differs from --to."),
    ] = None,
    clamp: Annotated[
        bool,
        typer.Option("--clamp", help="Let the server clamp old timestamps: no import windows."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Validate the files without a server; send nothing."),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Write rejected events and their reasons to this file, which can be replayed."
        ),
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Exit with 0 even if events were rejected.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON instead of a table.")
    ] = False,
) -> None:
    """Send recorded events over HTTP, in order, with their original timestamps.

    Events without an event_id get one derived from their content, so replays of a file are
    idempotent. Exits with 1 if events were rejected.
    """
    from headrace.errors import UsageError
    from headrace.traffic.replay.run import Options

    if clamp and token is not None:
        raise UsageError("--token and --clamp exclude each other: use only one of them")
    if token is None and not clamp:
        token = _owner_token(data_dir, to)
    base = "" if dry_run else base_url(to, data_dir)
    options = Options(
        paths=_check_files(files),
        base=base,
        rate=rate,
        site_id=checked_site(site_id),
        token=token,
        query=None if query is None else base_url(query, None),
        is_dry_run=dry_run,
        field_map=_parse_mapping(mapping or []),
    )
    if rejects is not None and any(_is_same(rejects, file) for file in files):
        raise typer.BadParameter("is one of the files to replay", param_hint="--rejects")
    report = _run(options, rejects, as_json=as_json)
    if report.rejected and not allow_rejects:
        raise typer.Exit(1)


def _run(options: "Options", path: Path | None, *, as_json: bool) -> "Report":
    import asyncio
    from contextlib import nullcontext

    from rich.console import Console

    from headrace.traffic.replay.progress import ReplayScreen
    from headrace.traffic.replay.rejects import rejects_file
    from headrace.traffic.replay.report import Report
    from headrace.traffic.replay.run import replay as run
    from headrace.traffic.replay.source import total_bytes

    report = Report(is_dry_run=options.is_dry_run)
    is_complete = False
    try:
        with (
            nullcontext() if path is None else rejects_file(path) as reject,
            ReplayScreen(Console(stderr=True), total_bytes(options.paths)) as screen,
        ):
            asyncio.run(run(options, report, screen, reject))
        is_complete = True
    except KeyboardInterrupt:
        typer.echo(f"Stopped. Last event sent: {report.last or 'none'}.", err=True)
        raise typer.Exit(1) from None
    finally:
        if report.sent or is_complete or as_json:
            _print(report, is_complete=is_complete, as_json=as_json)
    return report


def _print(report: "Report", *, is_complete: bool, as_json: bool) -> None:
    import msgspec

    from headrace.terminal.tables import table_console

    if as_json:
        summary = msgspec.json.encode(report.summary(is_complete=is_complete))
        typer.echo(msgspec.json.format(summary, indent=2).decode())
        return
    table_console().print(report.table())
    for sentence in report.advice():
        typer.echo(sentence, err=True)


def _owner_token(data_dir: Path | None, to: str | None) -> str | None:
    """Return the owner token of the server that runs in the data directory, or None.

    Return None also if `to` is the address of another server.
    """
    from headrace.local.data_dir import DataDir
    from headrace.local.data_dir_option import default_data_dir

    directory = DataDir(data_dir or default_data_dir())
    try:
        address = directory.address()
        if address is None or (to is not None and _normalized(to) != _normalized(address)):
            return None
        return directory.owner_token.read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _normalized(address: str) -> str:
    return address.rstrip("/").replace("//localhost:", "//127.0.0.1:", 1)


def _parse_mapping(mapping: list[str]) -> dict[str, str]:
    fields = {}
    for text in mapping:
        (theirs, _, ours) = (part.strip() for part in text.rpartition("="))
        if not theirs or not all(ours.split(".")):
            raise typer.BadParameter(
                f"{text!r} is not theirs=ours, such as occurred_at=timestamp", param_hint="--map"
            )
        fields[theirs] = ours
    return fields


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _check_files(files: list[Path]) -> list[Path]:
    from headrace.traffic.replay.source import STANDARD_INPUT

    if files.count(STANDARD_INPUT) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="FILE")
    for file in files:  # not `exists=True`, which rejects `-`
        if file != STANDARD_INPUT and (not file.exists() or file.is_dir()):
            kind = "is a directory" if file.is_dir() else "does not exist"
            raise typer.BadParameter(f"{file} {kind}", param_hint="FILE")
    return files
