"""The one way to refuse: a reason out of the closed list, and what its sentence tells."""

from typing import Any

from schemas.reject_reasons import RejectReason

#: What a sentence repeats of what the client sent, at most; the rest tells it nothing new.
_SHOWN_CHARACTERS = 100


class Rejected(Exception):  # noqa: N818 - it is an outcome, as RejectReason is
    """An event or a request is rejected for `reason`; `details` fill in its sentence.

    `sentence` replaces that of the reason where it would not be true.
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
        """Return what the client is told."""
        return self._sentence or self.reason.sentence.format(field=self.field, **self.details)

    def fields(self) -> dict[str, Any]:
        """Return the members of the answer, `error` and `code` first."""
        told: dict[str, Any] = {"error": self.sentence(), "code": self.reason.code}
        if self.field is not None:
            told["field"] = self.field
        if "missing" in self.details:
            told["missing"] = self.details["missing"]
        return told


class Unread(Rejected):
    """A refusal that did not wait for the request's body, which may still be coming in."""


def wrong_kind(field: str, expected: str, value: object) -> Rejected:
    """Return the refusal of a field whose value is of another kind than it must be."""
    return Rejected(RejectReason.WRONG_KIND, field, expected=expected, kind=kind_of(value))


def kind_of(value: object) -> str:
    """Return what JSON calls a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def shown(text: str) -> str:
    """Return the text cut to what a sentence can carry."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS] + "..."
