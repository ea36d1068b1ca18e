"""The option `--data-dir`, and its default, `HEADRACE_DATA_DIR`."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

VARIABLE = "HEADRACE_DATA_DIR"
DEFAULT = Path(".headrace")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def data_directory(value: str | Path) -> Path:
    """Return the directory, byte for byte as given; BadParameter for what cannot be one."""
    text = os.fspath(value)
    if not text:
        raise typer.BadParameter("the data directory has an empty name")
    if _CONTROL.search(text):
        raise typer.BadParameter(f"{text!r} has a control character, such as a line end")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{text!r} is not UTF-8") from None
    return Path(text)


def default_data_dir() -> Path:
    """Return the directory that the environment or the `.env` file names, else `.headrace`."""
    return data_directory(os.environ.get(VARIABLE) or DEFAULT)


def read_env_file() -> None:
    """Take `HEADRACE_DATA_DIR` from the `.env` file, where the environment has none."""
    if os.environ.get(VARIABLE) or not Path(".env").is_file():
        return
    from dotenv import dotenv_values

    try:
        named = dotenv_values(".env").get(VARIABLE)
    except (OSError, UnicodeDecodeError):
        return  # what reads the settings reports it
    if named:
        os.environ[VARIABLE] = named


def _option(sentence: str) -> Any:
    return typer.Option(
        "--data-dir",
        envvar=VARIABLE,
        parser=data_directory,
        metavar="DIRECTORY",
        help=sentence,
    )


#: Of commands that work with the headrace of this machine.
DataDirOption = Annotated[
    Path, _option("Of the headrace on this machine; used where no setting says more.")
]
#: Of commands that make it.
OwnDataDirOption = Annotated[Path, _option("Everything is kept here.")]
#: Of commands that also take `--to`; None where it was not given.
RunningOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=data_directory,
        metavar="DIRECTORY",
        help=f"Of the `headrace up` to send to (default: {VARIABLE}, else {DEFAULT}).",
    ),
]
