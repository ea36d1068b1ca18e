"""What a dialect consists of: endpoints, each with a translation and a reply."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from producer_api.events.request import Request

#: An event as a JSON object of `POST /api/event`. Unlike there, `site_id` may be a site key,
#: `session_id` may be missing, `event_id` may be any text, and `timestamp` may be replaced by AGE:
#: `completion.py` makes an event of the API of it.
Event = dict[str, Any]
#: The milliseconds between an event and its request, of clients that do not send their clock.
AGE = "age_ms"
#: The member of a completed event with its own site key: each event of a batch may have another.
SITE_KEY = "site_key"


class Outcome(msgspec.Struct, frozen=True):
    """What became of the events of a request.

    `status` is that of a native batch (202, 207, 400, 500), or that of the only rejection. Each of
    `results` is one of `POST /api/events`: `{"index", "status", "event_id"}` if accepted, else with
    `error` and `code`. `events` are those that the results are of: only their ids.
    """

    status: int
    results: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Event] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether all events were accepted; also if there were none."""
        return all(result["status"] == "accepted" for result in self.results)

    @property
    def session_id(self) -> str:
        """The session of the first event; empty if there is none."""
        return next((event["session_id"] for event in self.events), "")


class Reply(msgspec.Struct, frozen=True):
    """The response that the client of a dialect expects."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""


_BAD_REQUEST = 400

#: Returns the events of a request; raises `Rejected` if the request cannot be read.
Translate = Callable[[Request], list[Event]]
#: Returns the response for events that are all accepted, or permanently rejected in part.
Respond = Callable[[Request, Outcome], Reply]
#: Returns the JSON of an error with a status, a code and a sentence.
Explain = Callable[[int, str, str], dict[str, Any]]


def json_reply(content: Any, status: int = 200) -> Reply:
    """Return a JSON response."""
    return Reply(status, msgspec.json.encode(content), "application/json")


def accepted_or_error(outcome: Outcome, accepted: Reply) -> Reply:
    """Return a reply if all events were accepted, else the error of the first that was not."""
    for result in outcome.results:
        if result["status"] != "accepted":
            error = {"error": result["error"], "code": result["code"]}
            return json_reply(error, max(outcome.status, _BAD_REQUEST))
    return accepted


JAVASCRIPT = "text/javascript; charset=utf-8"
#: The smallest GIF: one transparent pixel.
PIXEL = Reply(
    200,
    b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "image/gif",
)


def script_error(sentence: str) -> Reply:
    """Return a script that logs an error. A page shows no body of a failed request."""
    return Reply(200, b"console.error(%s)" % msgspec.json.encode(sentence), JAVASCRIPT)


def always(_: Request) -> bool:
    """Return True: the path belongs to one dialect."""
    return True


def explain_as_native(_: int, code: str, sentence: str) -> dict[str, Any]:
    """Return the JSON error of our own API."""
    return {"error": sentence, "code": code}


def no_events(_: Request) -> list[Event]:
    """Return no events: the request asks for a configuration."""
    return []


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of a dialect. A segment of the path in braces, such as `{key}`, matches any segment.

    `matches` distinguishes dialects that share a path, by the content of the request. `explain`
    returns what the client expects of an error, also of one that it should send again after.
    """

    path: str
    translate: Translate
    respond: Respond
    methods: tuple[str, ...] = ("POST",)
    matches: Callable[[Request], bool] = always
    explain: Explain = explain_as_native


@dataclass(frozen=True, slots=True)
class Dialect:
    """The requests of one system's clients. `name` is its name in HEADRACE_API__DIALECTS."""

    name: str
    #: As its owner writes it.
    title: str
    endpoints: tuple[Endpoint, ...]
