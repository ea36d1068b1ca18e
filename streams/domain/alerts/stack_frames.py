"""The stack frame that identifies an error: the innermost one of the application's own code."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from streams.domain.alerts.error_text import constant, constant_file, is_bundle
from streams.domain.alerts.runtimes import OTHER, RUNTIMES, Runtime

#: Names that a minifier chose differ from build to build.
_MINIFIED_NAME = re.compile(r"(?:[\w$]{1,2}|value|prototype)(?:[./][\w$<]{0,2})*|")
_SCRIPT = re.compile(r"\.(?:[mc]?js|bundle|jsbundle|hbc)$")
_COLUMN = re.compile(r":(\d{1,9})\)*\s*\Z")
#: No one writes lines so long.
_MINIFIED_COLUMN = 500
#: Composer's directory of a vendor; its namespace has the same name nearly always.
_PACKAGE = re.compile(r"/vendor/([A-Za-z]\w+)/")
_NAMELESS = {"{closure}", "{main}"}


class Frame(NamedTuple):
    """A function and its file, without what differs between releases; either may be empty."""

    function: str
    file: str


class _Found(NamedTuple):
    """A frame as it stands in the stack, but for what its runtime adds to the function's name."""

    function: str
    file: str
    is_library: bool


def identifying_frame(stack: str) -> Frame | None:
    """Return the innermost frame of the application's own code, of the root cause if it has one.

    Without one: the innermost frame that there is. None when no runtime recognises any.
    """
    stack = stack.replace("\r\n", "\n")
    runtime = _runtime(stack)
    sections = [_frames(runtime, section) for section in _sections(runtime, stack)]
    innermost_first = [one for section in sections for one in section]
    if not innermost_first:
        return None
    own = (one for one in innermost_first if not one.is_library)
    found = next(own, innermost_first[0])
    return Frame(constant(found.function), constant_file(found.file))


def _runtime(stack: str) -> Runtime:
    """Return the row that recognises most frames: a message may quote a frame of another."""
    frames = {runtime: sum(1 for _ in runtime.frame.finditer(stack)) for runtime in RUNTIMES}
    runtime = max(RUNTIMES, key=lambda one: frames[one])
    return runtime if frames[runtime] else OTHER


def _sections(runtime: Runtime, stack: str) -> Iterator[str]:
    """Yield the stacks of a chain of exceptions, the root cause first."""
    if runtime.cause is not None:
        starts = [0, *(match.start() for match in runtime.cause.finditer(stack))]
        ends = [*starts[1:], len(stack)]
        for start, end in reversed(list(zip(starts, ends, strict=True))):
            section = stack[start:end]
            if not section.lstrip().startswith("Suppressed: "):
                yield section
    elif runtime.next_error is not None:
        yield from runtime.next_error.split(stack)
    else:
        yield stack


def _frames(runtime: Runtime, section: str) -> list[_Found]:
    """Return the frames of one exception's stack, innermost first."""
    matches = list(runtime.frame.finditer(section))
    if runtime.innermost_last is not None and runtime.innermost_last.search(section):
        matches.reverse()
    functions = [_group(match, "function") for match in matches]
    files = [_group(match, "file") for match in matches]
    if runtime.raised_in is not None:
        raised_in = runtime.raised_in.search(section)
        files = [_file_of(functions, files) if raised_in is None else raised_in["file"], *files]
        functions = [function or "{main}" for function in functions]
    return [
        _found(runtime, function, file, match.group())
        for function, file, match in zip(functions, files, matches, strict=False)
    ]


def _file_of(functions: list[str], callers: list[str]) -> str:
    """Return the caller's file for an innermost function of the caller's own package, else ""."""
    package = _PACKAGE.search(callers[0]) if callers else None
    is_same = package is not None and functions[0].lower().startswith(package[1].lower())
    return callers[0] if is_same else ""


def _found(runtime: Runtime, function: str, file: str, text: str) -> _Found:
    file = file.replace("\\", "/")
    name = function.strip()
    is_library = runtime.library.has(name, file)
    if runtime.dropped is not None:
        name = runtime.dropped.sub("", name)
    is_library |= name in _NAMELESS and not file
    if _is_minified(name, file, text):
        name = ""
    return _Found(name, file, is_library)


def _is_minified(function: str, file: str, text: str) -> bool:
    """Return True if the function's name is a minifier's."""
    path = file.partition("?")[0]
    if _MINIFIED_NAME.fullmatch(function) is None or _SCRIPT.search(path) is None:
        return False
    column = _COLUMN.search(text[-20:])
    return is_bundle(file) or (column is not None and int(column[1]) >= _MINIFIED_COLUMN)


def _group(match: re.Match[str], name: str) -> str:
    return match[name] or ""
