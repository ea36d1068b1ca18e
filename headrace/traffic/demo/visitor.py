"""Simulated visitors and their visits."""

from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from headrace.traffic.demo.shop import ORIGINS, Origin

#: Marks events as simulated, as `properties.simulated` does.
USER_AGENT = "Mozilla/5.0 ({system}) headrace-demo/1.0 (simulated visitor)"

_DEVICES = (
    ("iPhone; CPU iPhone OS 18_5", 390, 844, 3.0),
    ("Linux; Android 15", 412, 915, 2.6),
    ("Windows NT 10.0; Win64; x64", 1920, 1080, 1.0),
    ("Macintosh; Intel Mac OS X 15_4", 1512, 982, 2.0),
    ("X11; Linux x86_64", 1680, 1050, 1.0),
)
_LANGUAGES = ("de-DE", "de-AT", "en-GB", "en-US", "fr-FR", "nl-NL", "pl-PL")


@dataclass
class Person:
    """A visitor, possibly with several visits; `user_id` is set after the first login."""

    visitor_id: str
    #: Fields that all events of the visitor have.
    traits: dict[str, Any]
    #: The factor by which all waits are multiplied; the median is 1.
    slowness: float
    user_id: str | None = None


@dataclass
class Visit:
    """One visit: its origin, and the prices of the products in the cart."""

    person: Person
    session_id: str
    origin: Origin
    cart: list[float] = field(default_factory=list)


def new_person(random: Random) -> Person:
    """Return a new visitor."""
    system, width, height, ratio = random.choice(_DEVICES)
    return Person(
        visitor_id=new_id(random),
        traits={
            "user_agent": USER_AGENT.format(system=system),
            "language": random.choice(_LANGUAGES),
            "screen": {"width": width, "height": height, "pixel_ratio": ratio},
        },
        slowness=random.lognormvariate(0, 0.45),
    )


def new_visit(person: Person, random: Random) -> Visit:
    """Return a new visit with a random origin."""
    (origin,) = random.choices(ORIGINS, [origin.weight for origin in ORIGINS])
    return Visit(person, new_id(random), origin)


def new_id(random: Random) -> str:
    """Return a UUID."""
    return str(UUID(int=random.getrandbits(128), version=4))
