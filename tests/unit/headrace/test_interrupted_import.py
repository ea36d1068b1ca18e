"""Ctrl-C while the command is imported, which takes most of the time of short commands."""

import sys
from types import ModuleType

import pytest

from headrace.__main__ import main


class _Interrupted(ModuleType):
    """A module whose import Ctrl-C interrupts."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt(name)


def test_ctrl_c_during_the_imports_causes_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is that of an interrupted command."""
    module = "headrace.cli.main"
    monkeypatch.setitem(sys.modules, module, _Interrupted(module))

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 130
