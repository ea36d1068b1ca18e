"""Rejections of events and requests, each with a reason and an error message."""

from typing import Any, Self

from schemas.reject_reasons import RejectReason

#: The maximum length of client input in an error message.
_MAX_ECHOED_CHARACTERS = 100


#: The details that are members of the JSON error.
_MEMBERS = {"missing", "retry_after"}


class Rejected(Exception):  # noqa: N818 - an outcome, not a failure
    """An event or a request is rejected for `reason`; `details` fill in its sentence.

    `sentence` replaces the reason's sentence.
    """

    def __init__(
        self,
        reason: RejectReason,
        field: str | None = None,
        *,
        sentence: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.field = field
        self.details = details
        self._sentence = sentence

    def sentence(self) -> str:
        """Return the error message."""
        return self._sentence or self.reason.sentence.format(field=self.field, **self.details)

    def without_frames(self) -> Self:
        """Return the rejection without traceback and context, to be stored.

        Their frames refer to the caller, so a caller that stored it would be in a reference cycle.
        """
        self.__context__ = None
        return self.with_traceback(None)

    def to_json(self) -> dict[str, Any]:
        """Return the members of the JSON error, `error` and `code` first."""
        members: dict[str, Any] = {"error": self.sentence(), "code": self.reason.code}
        if self.field is not None:
            members["field"] = self.field
        for name in _MEMBERS & self.details.keys():
            members[name] = self.details[name]
        return members


class RejectedEarly(Rejected):
    """A rejection before the request body was read."""


def wrong_kind(field: str, expected: str, value: object) -> Rejected:
    """Return the rejection of a field whose value has the wrong type."""
    return Rejected(RejectReason.WRONG_KIND, field, expected=expected, kind=kind_of(value))


def kind_of(value: object) -> str:
    """Return the JSON type of a value, with an article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def shorten(text: str) -> str:
    """Return the text, truncated to what an error message may contain."""
    if len(text) <= _MAX_ECHOED_CHARACTERS:
        return text
    return text[:_MAX_ECHOED_CHARACTERS] + "..."
