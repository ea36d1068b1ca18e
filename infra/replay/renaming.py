"""`--map theirs=ours` for events in JSON: members are renamed, with dots for nested ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from infra.replay.exact_json import Object, decode_object, encode


def renaming(mapped: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """Return a function that renames the members of a JSON object, and leaves all else alone.

    A member that is renamed replaces one that has the name.
    """
    pairs = [(theirs.split("."), ours.split(".")) for theirs, ours in mapped.items()]

    def rename(data: bytes) -> bytes:
        members = decode_object(data)
        if members is None:
            return data
        # All are taken before the first is put, so that two can swap names.
        found = [(ours, _take(members, theirs)) for theirs, ours in pairs]
        for (*path, name), value in found:
            if value is not UNSET:
                _inside(members, path)[name] = value
        return encode(members)

    return rename if pairs else lambda data: data


def _take(members: Any, path: Sequence[str]) -> Any:
    """Remove a member and return it, else UNSET; an object that it leaves empty goes, too."""
    if not isinstance(members, dict):
        return UNSET
    whole = ".".join(path)
    if len(path) == 1 or whole in members:
        return members.pop(whole, UNSET)
    value = _take(members.get(path[0]), path[1:])
    if members.get(path[0]) == {}:
        del members[path[0]]
    return value


def _inside(members: Object, path: Sequence[str]) -> Object:
    """Return the object at a path, made where there is none."""
    for name in path:
        if not isinstance(members.get(name), dict):
            members[name] = {}
        members = members[name]
    return members
