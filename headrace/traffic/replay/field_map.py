"""`--map theirs=ours` for JSON events: rename members, with dots for nested ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from headrace.traffic.replay.exact_json import JsonObject, decode_object, encode


def make_renamer(field_map: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """Return a function that renames members of a JSON object, and returns other bytes unchanged.

    A renamed member replaces an existing one with that name.
    """
    pairs = [(theirs.split("."), ours.split(".")) for theirs, ours in field_map.items()]

    def rename(data: bytes) -> bytes:
        members = decode_object(data)
        if members is None:
            return data
        # Remove all before the first is set, so that two members can swap names.
        found = [(ours, _pop(members, theirs)) for theirs, ours in pairs]
        for (*path, name), value in found:
            if value is not UNSET:
                _object_at(members, path)[name] = value
        return encode(members)

    return rename if pairs else lambda data: data


def _pop(members: Any, path: Sequence[str]) -> Any:
    """Remove and return a member, or return UNSET. Objects that become empty are removed."""
    if not isinstance(members, dict):
        return UNSET
    whole = ".".join(path)
    if len(path) == 1 or whole in members:
        return members.pop(whole, UNSET)
    value = _pop(members.get(path[0]), path[1:])
    if members.get(path[0]) == {}:
        del members[path[0]]
    return value


def _object_at(members: JsonObject, path: Sequence[str]) -> JsonObject:
    """Return the object at a path; create it if it does not exist."""
    for name in path:
        if not isinstance(members.get(name), dict):
            members[name] = {}
        members = members[name]
    return members
