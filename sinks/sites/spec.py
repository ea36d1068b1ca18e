"""The request bodies for sites and site keys."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from schemas.event_types import EVENT_TYPES
from schemas.origins import normalized_pattern
from schemas.settings import SITE_ID
from sinks.delivery.subscription_spec import RequestBody

MAX_ORIGINS = 100
MAX_NAME_CHARACTERS = 100
_MAX_EVENTS_PER_SECOND = 1_000_000


def _origin(text: str) -> str:
    try:
        return normalized_pattern(text)
    except ValueError as error:
        raise PydanticCustomError("origin", "{why}", {"why": str(error)}) from None


def _check_id(site_id: str) -> str:
    if site_id in {".", ".."}:
        raise PydanticCustomError(
            "site_id",
            "{id} cannot be a site: in the path of a URL, it is a directory",
            {"id": site_id},
        )
    return site_id


def _check_type(name: str) -> str:
    if name not in EVENT_TYPES:
        types = ", ".join(EVENT_TYPES)
        raise PydanticCustomError("type", "must be an event type: {types}", {"types": types})
    return name


Origin = Annotated[str, AfterValidator(_origin)]
Type = Annotated[str, AfterValidator(_check_type)]


class SiteChange(RequestBody):
    """The rules of a site; absent fields keep their values."""

    origins: list[Origin] = Field(
        default=[],
        max_length=MAX_ORIGINS,
        description="The origins whose pages may send events: https://shop.example, or "
        "*.shop.example for subdomains, with any scheme; empty for all.",
    )
    require_key: list[Type] | None = Field(
        default=None,
        description="The event types that need a site key; null: payment, if the site has keys.",
    )
    events_per_second: int | None = Field(
        default=None,
        ge=1,
        le=_MAX_EVENTS_PER_SECOND,
        description="The limit of accepted events per second and api process; null for none.",
    )
    counts_bots: bool = Field(default=False, description="Whether events of bots are counted.")
    derives_visitors: bool = Field(
        default=True, description="Whether events without a visitor_id get a derived one."
    )
    honours_opt_out: bool = Field(
        default=True, description="Whether Sec-GPC and DNT remove ids of visitors and clicks."
    )

    def changes(self) -> dict[str, Any]:
        """Return the fields that the body sets."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"site_id"}}


class NewSite(SiteChange):
    """A site to register."""

    site_id: Annotated[str, Field(pattern=f"^{SITE_ID.pattern}$"), AfterValidator(_check_id)]


class NewSiteKey(RequestBody):
    """A site key to create."""

    name: str = Field(
        default="",
        max_length=MAX_NAME_CHARACTERS,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        description="Shown in lists of keys; without control characters.",
    )
