"""Ids of events by who vouches for them."""

import re
from uuid import UUID, uuid5

from producer_api.events.client import Grant

#: The form of `event_id`.
UUID_TEXT = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
#: The namespace of ids that are not vouched for. Never changes: a retry must get the same id.
_NAMESPACE = UUID("3c5a1f0e-7d0b-5b7e-9f43-0d6c2c1a8e57")


def stored_id(event_id: str, site_id: str, grant: Grant) -> str:
    """Return the id under which the event of a client's `event_id`, in lower case, is stored.

    It is another one unless the event has the highest trust of its site, so that nobody can take
    the id of an event that a site key vouches for. A retry gets the same id.
    """
    if not grant.namespaces_ids:
        return event_id
    return str(uuid5(_NAMESPACE, f"{site_id}:{grant.trust}:{event_id}"))
