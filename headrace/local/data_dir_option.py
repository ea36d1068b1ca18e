"""The option `--data-dir`, and its default, `HEADRACE_DATA_DIR`."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import dotenv_values

VARIABLE = "HEADRACE_DATA_DIR"
DEFAULT = Path(".headrace")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def data_directory(value: str | Path) -> Path:
    """Return a data directory as a path. Raises typer.BadParameter if it is invalid."""
    text = os.fspath(value)
    if not text:
        raise typer.BadParameter("the data directory has an empty name")
    if _CONTROL.search(text):
        raise typer.BadParameter(f"{text!r} contains a control character, such as a line feed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{text!r} is not UTF-8") from None
    return Path(text)


def default_data_dir() -> Path:
    """Return `HEADRACE_DATA_DIR` of the environment or the `.env` file, else `.headrace`."""
    return data_directory(os.environ.get(VARIABLE) or DEFAULT)


def read_env_file() -> None:
    """Set `HEADRACE_DATA_DIR` from the `.env` file, unless the environment has it."""
    if os.environ.get(VARIABLE):
        return
    try:
        value = dotenv_values(".env").get(VARIABLE)
    except (OSError, UnicodeDecodeError):
        return  # reported when the settings are read
    if value:
        os.environ[VARIABLE] = value


def _option(help_text: str) -> Any:
    return typer.Option(
        "--data-dir",
        envvar=VARIABLE,
        parser=data_directory,
        metavar="DIRECTORY",
        help=help_text,
    )


#: For commands that use a running headrace or its database.
DataDirOption = Annotated[
    Path, _option("Data directory of `headrace up`; settings in the environment override it.")
]
#: For commands that create the data directory.
NewDataDirOption = Annotated[Path, _option("Directory for all data, logs and run files.")]
#: For commands that also have `--to`; None if the option is absent.
TargetDataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=data_directory,
        metavar="DIRECTORY",
        help=f"Data directory of the target `headrace up` (default: {VARIABLE}, else {DEFAULT}).",
    ),
]
